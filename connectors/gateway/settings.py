"""What an operator can set about the gateway."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Settings of one gateway.

    Attributes:
        port: 0 lets the system choose one.
        public_url: how the world reaches the gateway, without a slash at the end; it is what short
            links begin with. Empty: the address that it listens on.
        trusted_proxies: only from these addresses `X-Forwarded-For` is believed.
        reuse_port: whether other processes may listen on the same port (`SO_REUSEPORT`).
        cors_origins: web pages of these origins may call the API; none by default.
        max_head_bytes: request line and headers together; picows takes no more than 16 KiB.
        max_body_bytes: of any request but those that post events.
        max_event_bytes, max_batch_bytes: of one posted event, and of all events of a request.
        idle_timeout_s: a client that owes us the next bytes for longer is hung up on. Load
            balancers keep connections for a minute, and want to be the ones who close them.
        drain_timeout_s: how long requests in flight may take when the gateway stops.
        applied_timeout_s: how long a read waits for the position that it must not be older than.
        jwt_leeway_s: how far the clocks of token issuers may be off.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str = ""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    reuse_port: bool = False
    cors_origins: tuple[str, ...] = ()
    max_url_bytes: int = 8 * 1024
    max_head_bytes: int = 16 * 1024
    max_body_bytes: int = 1024 * 1024
    max_event_bytes: int = 256 * 1024
    max_batch_bytes: int = 16 * 1024 * 1024
    max_frame_bytes: int = 64 * 1024
    idle_timeout_s: float = 75.0
    drain_timeout_s: float = 10.0
    applied_timeout_s: float = 5.0
    jwt_leeway_s: float = 10.0
