"""What a handshake wants done: its steps of MLS in a thread, its keys in the engine, its news to the call's owner."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable

from raccall.units import Ssrc
from raccall.voice import events
from raccall.voice.dave import events as dave
from raccall.voice.dave.people import user_number
from raccall.voice.e2ee import EpochKeys
from raccall.voice.engine import Encryption, Engine

KEPT_EPOCHS = 2
"""Whoever has not switched to the newest epoch yet is in the one before."""


class Driver:
    """Of one voice session. finish: hands an Outcome to the handshake, and sends what it then wants to say.
    former_keys: `newest_keys` of the session that this one replaces."""

    def __init__(
        self,
        finish: Callable[[dave.Outcome], None],
        emit: Callable[[events.Event], None],
        former_keys: Iterable[EpochKeys] = (),
    ) -> None:
        self._finish = finish
        self._emit = emit
        self._engine: Engine | None = None
        self._mode = Encryption.OFF
        self._keys = list(former_keys)  # that came before the engine ran, the newest last
        self._newest: deque[EpochKeys] = deque(self._keys, maxlen=KEPT_EPOCHS)
        self._group: dave.Group | None = None
        self._works: set[asyncio.Task[None]] = set()

    @property
    def mode(self) -> Encryption:
        """What the engine has to start with, so that not one frame leaves in clear before `run`."""
        return self._mode

    @property
    def encrypted(self) -> bool:
        """Nothing is sent in clear."""
        return self._mode is not Encryption.OFF

    @property
    def newest_keys(self) -> tuple[EpochKeys, ...]:
        """Of the epochs in which the others may speak now, the newest last."""
        return tuple(self._newest)

    def run(self, engine: Engine) -> None:
        """The engine runs from now on: give it what has come so far."""
        self._engine = engine
        if self._mode is not Encryption.OFF:
            self._set_mode(self._mode)
        for keys in self._keys:
            engine.add_keys(keys)
        if self._group is not None:
            engine.use_keys(self._group.keys)
        self._keys.clear()

    def handle(self, event: dave.Event) -> None:
        match event:
            case dave.Work():
                task = asyncio.create_task(self._do(event))
                self._works.add(task)
                task.add_done_callback(self._works.discard)
            case dave.KeysArrived(keys=keys):
                self._newest.append(keys)
                if self._engine is not None:
                    self._engine.add_keys(keys)
                else:
                    self._keys.append(keys)
            case dave.Switched():
                self._switch(event)
            case dave.ClearAhead():
                self._set_mode(Encryption.EITHER)
            case dave.ClearRefused():
                self._set_mode(Encryption.ON)
                self._emit(events.ClearRefused())
            case dave.Ghosts(user_ids=user_ids):
                self._emit(events.GhostsChanged(tuple(str(user_id) for user_id in sorted(user_ids))))
            case dave.Recovering(reason=reason):
                self._emit(events.EncryptionBroken(reason))

    def set_owner(self, ssrc: Ssrc, user_id: str) -> None:
        """Somebody is said to speak there."""
        if self._engine is not None and self.encrypted:
            with contextlib.suppress(ValueError):  # it is no id, and nobody's
                self._engine.set_owner(ssrc, user_number(user_id))

    def close(self) -> None:
        for task in self._works:
            task.cancel()

    async def _do(self, work: dave.Work) -> None:
        self._finish(await asyncio.to_thread(work.run))

    def _switch(self, switched: dave.Switched) -> None:
        self._group = switched.group
        self._set_mode(Encryption.ON if switched.version else Encryption.OFF)
        if self._engine is not None and self._group is not None:
            self._engine.use_keys(self._group.keys)
        self._tell(switched.transition_id)

    def _set_mode(self, mode: Encryption) -> None:
        self._mode = mode
        if self._engine is not None:
            self._engine.set_encryption(mode)

    def _tell(self, transition_id: int) -> None:
        group = self._group
        self._emit(
            events.EncryptionChanged(
                encrypted=self.encrypted,
                epoch=group.epoch if group is not None else 0,
                transition_id=transition_id,
                code=group.code if group is not None else "",
                identities={str(user_id): key.hex() for user_id, key in group.identities.items()} if group else {},
            )
        )
