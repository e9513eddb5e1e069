// @discordjs/voice as it is published, run by the tests. Lines of JSON, as test_senders.py describes them.

import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import {
  AudioPlayerStatus, StreamType, VoiceConnectionStatus, createAudioPlayer, createAudioResource, entersState, joinVoiceChannel,
} from '@discordjs/voice';

const say = (message) => process.stdout.write(JSON.stringify(message) + '\n');
const asked = createInterface({ input: process.stdin });
const messages = asked[Symbol.asyncIterator]();
const given = JSON.parse((await messages.next()).value);

let library;
const adapterCreator = (methods) => {
  library = methods;
  return {
    sendPayload(payload) {
      say({ wants_room: payload.d.channel_id !== null });
      return true;
    },
    destroy() {},
  };
};

const connection = joinVoiceChannel({
  guildId: given.room_id, channelId: given.room_id, selfDeaf: false, adapterCreator, debug: true,
});
connection.on('debug', (text) => process.stderr.write(text.replace(/"(token|secret_key)".*/s, '…') + '\n'));

(async () => {
  for (let next = await messages.next(); !next.done; next = await messages.next()) {
    const { state, server } = JSON.parse(next.value);
    if (state) library.onVoiceStateUpdate({ ...state, guild_id: given.room_id });
    if (server) library.onVoiceServerUpdate(server);
  }
})();

await entersState(connection, VoiceConnectionStatus.Ready, 15_000);
const { connectionData } = connection.state.networking.state;
say({ ready: true, ssrc: connectionData.ssrc, mode: connectionData.encryptionMode });
if (given.encrypted) {
  while (!connection.voicePrivacyCode) await new Promise((resolve) => setTimeout(resolve, 50));
  say({ code: connection.voicePrivacyCode });
}

const packets = given.packets.map((packet) => Buffer.from(packet, 'base64'));
const player = createAudioPlayer();
connection.subscribe(player);
player.play(createAudioResource(Readable.from(packets, { objectMode: true }), { inputType: StreamType.Opus }));
await entersState(player, AudioPlayerStatus.Playing, 5_000);
await entersState(player, AudioPlayerStatus.Idle, 30_000);
await new Promise((resolve) => setTimeout(resolve, 300));
connection.destroy();
say({ ended: true });
process.exit(0);
