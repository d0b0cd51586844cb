"""Settings of the service: flags, then NEWSWATCH_* in the environment, then a TOML file, then defaults."""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from newswatch.processors import count_processors
from newswatch_labels.errors import InputError

FILE_VARIABLE = "NEWSWATCH_SETTINGS"


class ServiceSettings(BaseSettings):
    """How the service runs.

    Attributes:
        settings: TOML file with any of the other settings, at its top level.
        bundle: folder of the bundle, or a link to it, which is watched; default: mlruns/champion.
        host, port: address to listen at; port 0 takes a free one. Another address than a loopback one needs `keys`.
        keys: file of API keys, one `name:key` a line; without it everyone who reaches the address may score.
        admin_keys: file of the keys that may call /v1/reload; without it nobody may.
        database: SQLite file of stored articles, for the desk.
        fetch: let the desk ask for web pages, which the service then fetches.
        names: other names than this machine's own, such as a proxy's, under which a service without keys may be asked.
        allow_hosts: hosts that may be fetched from although their addresses are private.
        workers: scoring processes; default: one for every two processors, at most 4.
        threads: of each worker's forward pass; default: the processors divided by the workers.
        cascade: let an ensemble's linear model answer alone where it is certain that there is no tag.
        queue: requests that may wait while the workers are busy; one more is answered 429.
        timeout: seconds for a request's body to arrive (then 408), and again for its articles to be scored (then 504).
        drain: seconds that requests in flight have to finish after SIGTERM.
        watch: seconds between two looks at the bundle's link.
    """

    model_config = SettingsConfigDict(env_prefix="NEWSWATCH_", extra="forbid", frozen=True, env_ignore_empty=True)

    settings: Path | None = None
    bundle: Path | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    keys: Path | None = None
    admin_keys: Path | None = None
    database: Path | None = None
    fetch: bool = False
    names: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    workers: Annotated[int, Field(ge=1, le=64)] = Field(default_factory=lambda: min(4, max(1, count_processors() // 2)))
    threads: Annotated[int, Field(ge=1)] | None = None
    cascade: bool = True
    queue: Annotated[int, Field(ge=1, le=10_000)] = 64
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30.0
    drain: Annotated[float, Field(ge=0, le=600)] = 6.0
    watch: Annotated[float, Field(gt=0, le=3600)] = 1.0

    @classmethod
    def load(cls, **flags: Any) -> Self:
        """Settings from all sources.

        Args:
            flags: settings given on the command line; None stands for not given.

        Raises:
            InputError: a setting is unknown, of a wrong kind or out of its range, or the file cannot be read.
        """
        try:
            return cls(**{name: value for name, value in flags.items() if value is not None})
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['msg']}" for fault in found)
            raise InputError(faults, "valid settings", "See newswatch serve --help.") from error
        except (OSError, ValueError) as error:
            raise InputError(f"settings that cannot be read: {error}", "a TOML file", f"Mend it, or unset {FILE_VARIABLE}.") from error

    @model_validator(mode="after")
    def _only_keys_open_the_door(self) -> Self:
        if self.keys is None and not self.loopback:
            raise ValueError(
                f"host {self.host} can be reached by other machines and no API keys are configured; "
                "name a file of keys with --keys (or NEWSWATCH_KEYS), or listen at 127.0.0.1"
            )
        return self

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches the address."""
        return is_loopback(self.host)

    @property
    def worker_threads(self) -> int:
        """Threads of each worker, so that together they do not exceed the processors."""
        return self.threads or max(1, count_processors() // self.workers)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags before environment before file."""
        flags = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        named = flags.get("settings") or os.environ.get(FILE_VARIABLE)
        if not named:
            return init_settings, env_settings
        Path(named).open("rb").close()  # a missing file would be passed over in silence
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, named)


def is_loopback(host: str) -> bool:
    """Whether a name or address leads to this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
