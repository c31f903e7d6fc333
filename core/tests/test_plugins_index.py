from __future__ import annotations

import sys

import pytest

from fake_site import Site
from mlvgm.errors import ConfigError, PluginError
from mlvgm.plugins.descriptors import Component
from mlvgm.plugins.index import Index
from mlvgm.plugins.reference import Reference, parse

MINE = Component(summary="mine", factory="nowhere:build", config="nowhere:Config")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nvae", Reference("nvae")),
        ("mlvgm-nvae/nvae", Reference("nvae", distribution="mlvgm-nvae")),
        ("timm:hf-hub:org/name", Reference("timm", argument="hf-hub:org/name")),
        ("folder:/a/b?c", Reference("folder", argument="/a/b?c")),
        ("folder:/a/b?c?size=32", Reference("folder", argument="/a/b?c", options={"size": "32"})),
        ("attack?eps=8/255&norm=Linf", Reference("attack", options={"eps": "8/255", "norm": "Linf"})),
        ("dist/attack:x?eps=a=b", Reference("attack", "dist", "x", {"eps": "a=b"})),
        ("name:", Reference("name", argument="")),
    ],
)
def test_reference_syntax(text: str, expected: Reference) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["", ":argument", "/name", "dist/", "name?", "name?eps", "name?eps=1&", "name?=1"])
def test_malformed_references_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected NAME"):
        parse(text)


def test_index_knows_provider_without_importing(site: Site) -> None:
    site.install(
        "mlvgm-one",
        entry_points={"mlvgm.attacks": {"one": "never_imported:component"}},
        modules={"never_imported": "1/0"},
    )
    (entry,) = site.index().entries()
    assert (entry.kind, entry.name, entry.provider, entry.target) == (
        "attacks",
        "one",
        "mlvgm-one 1.0",
        "never_imported:component",
    )
    assert "never_imported" not in sys.modules


def test_ambiguous_name_is_an_error_that_names_the_distributions(site: Site) -> None:
    # Three, and another name between them: stevedore's own grouping keeps the last of these in silence.
    for distribution, name in [("mlvgm-a", "same"), ("mlvgm-b", "other"), ("mlvgm-c", "same"), ("mlvgm-d", "same")]:
        site.install(distribution, entry_points={"mlvgm.attacks": {name: f"{distribution[-1]}_module:component"}})
    index = site.index()
    with pytest.raises(PluginError, match=r"mlvgm-a 1\.0 and mlvgm-c 1\.0 and mlvgm-d 1\.0.*use mlvgm-a/same or"):
        index.find("attacks", parse("same"))
    assert index.find("attacks", parse("mlvgm-c/same")).distribution == "mlvgm-c"
    assert index.find("attacks", parse("MLVGM_C/same")).distribution == "mlvgm-c"
    assert index.find("attacks", parse("other")).distribution == "mlvgm-b"
    assert index.names("attacks") == ("other", "mlvgm-a/same", "mlvgm-c/same", "mlvgm-d/same")
    (duplicate,) = index.check()
    assert (duplicate.name, duplicate.status) == ("attacks/same", "problem")
    assert all(name in duplicate.detail for name in ("mlvgm-a", "mlvgm-c", "mlvgm-d"))


def test_same_name_in_two_kinds_is_no_duplicate(site: Site) -> None:
    site.install("mlvgm-a", entry_points={"mlvgm.attacks": {"same": "a:x"}, "mlvgm.purifiers": {"same": "a:y"}})
    assert site.index().duplicates() == ()


def test_unknown_name_suggests_the_nearest(site: Site) -> None:
    site.install("mlvgm-a", entry_points={"mlvgm.generators": {"nvae": "a:x"}})
    with pytest.raises(PluginError, match=r"unknown generator 'nvea' \(did you mean 'nvae'"):
        site.index().find("generators", parse("nvea"))
    with pytest.raises(PluginError, match="unknown generator 'mlvgm-b/nvae'"):
        site.index().find("generators", parse("mlvgm-b/nvae"))


def test_unmet_requirements_are_found_statically(site: Site) -> None:
    site.install(
        "mlvgm-old",
        entry_points={"mlvgm.attacks": {"old": "old_module:component"}},
        requires=[
            "mlvgm-core>=99",
            "no-such-distribution>=1",
            "pytest>=1",
            "no-such-extra; extra == 'more'",
            "no-such-marker; python_version < '3'",
        ],
    )
    (conflict,) = site.index().check()
    assert conflict.name == "mlvgm-old 1.0"
    assert conflict.detail.startswith("needs mlvgm-core>=99 (installed: ")
    assert "no-such-distribution>=1 (not installed)" in conflict.detail
    assert not any(text in conflict.detail for text in ("pytest", "no-such-extra", "no-such-marker"))


def test_development_versions_meet_requirements(site: Site) -> None:
    site.install("mlvgm-base", entry_points={}, version="1.5.dev3")
    site.install("mlvgm-a", entry_points={"mlvgm.attacks": {"x": "x:y"}}, requires=["mlvgm-base>=1"])
    assert site.index().entries()[0].unmet() == ()


def test_environment_restricts_the_index(site: Site) -> None:
    for distribution in ("mlvgm-a", "mlvgm-b"):
        site.install(distribution, entry_points={"mlvgm.attacks": {distribution: "x:y"}})

    def distributions(**environ: str) -> set[str]:
        found = {entry.distribution for entry in Index.installed(environ=environ).entries()}
        return found & {"mlvgm-a", "mlvgm-b"}

    assert distributions() == {"mlvgm-a", "mlvgm-b"}
    assert distributions(MLVGM_PLUGINS="mlvgm_a") == {"mlvgm-a"}
    assert distributions(MLVGM_PLUGINS="") == set()
    assert distributions(MLVGM_DISABLE_PLUGINS="mlvgm-a, other") == {"mlvgm-b"}
    assert distributions(MLVGM_PLUGINS="mlvgm-a,mlvgm-b", MLVGM_DISABLE_PLUGINS="mlvgm-b") == {"mlvgm-a"}


def test_slips_in_the_environment_and_in_groups_are_told(site: Site) -> None:
    site.install("mlvgm-a", entry_points={"mlvgm.attack": {"x": "x:y"}, "mlvgm.attacks": {"x": "x:y"}})
    index = Index.installed(environ={"MLVGM_PLUGINS": "mlvgm-a,mlvgm-aa"})
    assert [entry.kind for entry in index.entries()] == ["attacks"]
    warnings = {check.name: check.status for check in index.check()}
    assert warnings == {"mlvgm-aa": "warning", "attack/x": "warning"}


def test_of_two_copies_on_the_path_the_first_counts(site: Site, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("mlvgm-a", entry_points={"mlvgm.attacks": {"x": "x:y"}})
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    Site(earlier).install("mlvgm-a", entry_points={"mlvgm.attacks": {"x": "x:y"}}, version="2.0")
    monkeypatch.syspath_prepend(str(earlier))
    assert [entry.version for entry in site.index().entries()] == ["2.0"]


def test_in_process_components_need_no_packaging(site: Site) -> None:
    site.install("mlvgm-a", entry_points={"mlvgm.attacks": {"mine": "x:y"}})
    index = site.index()
    added = index.add("attacks", "ours", MINE)
    assert index.find("attacks", parse("ours")) is added
    assert "ours" not in site.index().names("attacks")
    index.add("attacks", "mine", MINE)
    with pytest.raises(PluginError, match="ambiguous"):
        index.find("attacks", parse("mine"))
    assert index.find("attacks", parse("in-process/mine")).component is MINE
    with pytest.raises(PluginError, match="added twice"):
        index.add("attacks", "ours", MINE)
    with pytest.raises(PluginError, match="unknown kind of plugin 'attack'"):
        index.add("attack", "ours", MINE)
