//! Bytes on the network: RTP, RTCP, transport encryption, replay window, IP discovery.
