"""Protocols: what has to be set together for an evaluation of a known kind, below the user's own settings."""

from __future__ import annotations

from mlvgm.configuration.settings import Setting, Settings
from mlvgm.errors import ConfigError, unknown

PROTOCOLS: dict[str, dict[str, object]] = {
    # arXiv 2412.03453 and its code: 32 draws deployed and in each gradient, purified images not clamped.
    "published": {
        "votes": 32,
        "eot": 32,
        "selection": 32,
        "score": 32,
        "clamp": "none",
        "attack.name": ["published-deepfool", "published-carlini-wagner", "published-autoattack"],
    },
    "rigorous": {"budget": "rigorous"},
    "smoke": {"limit": 4, "votes": 2, "eot": 2, "selection": 4, "block": 4, "attack.name": "fgsm"},
}


def with_protocol(settings: Settings) -> Settings:
    """``settings`` above those of the protocol they name, if any.

    Raises:
        ConfigError: there is no such protocol, or the settings have another budget than it is about.

    >>> chosen = with_protocol({"protocol": Setting("published", "--protocol"), "votes": Setting(8, "--set")})
    >>> chosen["votes"].value, chosen["eot"].value, chosen["eot"].source
    (8, 32, 'protocol published')
    """
    if "protocol" not in settings or settings["protocol"].value is None:
        return settings
    name = str(settings["protocol"].value)
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    values = PROTOCOLS[name]
    if "budget" in settings and settings["budget"].value != values.get("budget", settings["budget"].value):
        raise ConfigError(
            f"protocol '{name}' is of budget '{values['budget']}', came '{settings['budget'].value}'",
            hint="leave out one of them",
        )
    listed = "attacks" in settings  # a configuration that lists its attacks takes no others
    own = {
        key: Setting(value, f"protocol {name}")
        for key, value in values.items()
        if not (listed and key.startswith("attack."))
    }
    return {**own, **settings}
