from __future__ import annotations

import sys
import warnings

import pytest

from fake_site import WORKING_PARTS, Site
from mlvgm.errors import ConfigError, PluginError
from mlvgm.plugins.describe import PluginWarning
from mlvgm.plugins.descriptors import Component
from mlvgm.plugins.load import build, component, config_class, factory

DESCRIPTOR = """
from mlvgm.plugins.descriptors import Component
component = Component(summary="", factory={factory!r}, config={config!r}, api={api})
"""


def install(site: Site, module: str, source: str, **more: object) -> None:
    site.install(
        f"mlvgm-{module}",
        entry_points={"mlvgm.attacks": {module: f"{module}:component"}},
        modules={module: source},
        **more,  # type: ignore[arg-type]
    )


def test_build_loads_configures_and_calls_the_factory(site: Site) -> None:
    site.install_working("mlvgm-good", "good_module", name="good")
    made = build("attacks", "good:path?eps=0.5", {"norm": "Linf"}, index=site.index(), generator="g", data=None)
    assert (made.config.eps, made.config.norm, made.config.file) == (0.5, "Linf", "path")
    assert made.parts == {"generator": "g"}
    assert build("attacks", "mlvgm-good/good?eps=0.5", {"eps": 2}, index=site.index()).config.eps == 2


def test_qualified_name_loads_that_distribution_and_no_other(site: Site) -> None:
    site.install_working("mlvgm-a", "twin_a", name="twin")
    site.install_working("mlvgm-b", "twin_b", name="twin")
    resolved = component("attacks", "mlvgm-a/twin", index=site.index())
    assert resolved.component.factory == "twin_a_built:build"
    assert "twin_b" not in sys.modules


def test_broken_plugin_nobody_asks_for_is_never_imported(site: Site) -> None:
    site.install_working("mlvgm-good", "good_module", name="good")
    install(site, "bad_module", "raise SystemExit('imported')")
    build("attacks", "good", index=site.index())
    assert "bad_module" not in sys.modules


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("1/0", "ZeroDivisionError: division by zero"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("other = 1", "AttributeError: module 'bad_module' has no attribute 'component'"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("component = 1 +", "SyntaxError: invalid syntax"),
        ("assert False", "AssertionError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_broken_plugin_asked_for_is_one_message_with_provenance(site: Site, source: str, cause: str) -> None:
    install(site, "bad_module", source)
    with pytest.raises(PluginError) as caught:
        component("attacks", "bad_module", index=site.index())
    message = str(caught.value)
    assert message.startswith("plugin attacks/bad_module of mlvgm-bad_module 1.0 does not load: bad_module:component: ")
    assert cause in message
    assert "\n" not in message


def test_broken_factory_and_config_name_the_plugin_too(site: Site) -> None:
    install(site, "half", DESCRIPTOR.format(factory="half_missing:build", config="half:Config", api=(1, 0)))
    resolved = component("attacks", "half", index=site.index())
    with pytest.raises(PluginError, match=r"attacks/half of mlvgm-half 1\.0 does not load: half_missing:build: Module"):
        factory(resolved)
    with pytest.raises(PluginError, match=r"half:Config: AttributeError"):
        config_class(resolved)


def test_missing_module_of_an_extra_says_what_to_install(site: Site) -> None:
    requires = ["mlvgm-core>=0.1", "no-such-module>=2; extra == 'official'"]
    install(site, "needy", "import no_such_module.part", requires=requires)
    with pytest.raises(PluginError, match=r"\(pip install 'mlvgm-needy\[official\]'\)"):
        component("attacks", "needy", index=site.index())


def test_plugin_for_another_core_is_refused_before_it_is_imported(site: Site) -> None:
    install(site, "future", "1/0", requires=["mlvgm-core>=99"])
    with pytest.raises(PluginError, match=r"mlvgm-future 1\.0 needs mlvgm-core>=99 \(installed: "):
        component("attacks", "future", index=site.index())
    assert "future" not in sys.modules


def test_protocol_versions(site: Site) -> None:
    for module, api in (("major", (2, 0)), ("minor", (1, 99)), ("equal", (1, 0))):
        install(site, f"api_{module}", DESCRIPTOR.format(factory="a:b", config="a:b", api=api))
    with pytest.raises(PluginError, match=r"written against protocols 2\.0, this core has 1\.0"):
        component("attacks", "api_major", index=site.index())
    with pytest.warns(PluginWarning, match=r"mlvgm-api_minor 1\.0 is written against newer protocols 1\.99"):
        component("attacks", "api_minor", index=site.index())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        component("attacks", "api_equal", index=site.index())


def test_entry_that_is_no_descriptor_is_refused(site: Site) -> None:
    install(site, "wrong", "component = 'text'")
    with pytest.raises(PluginError, match="is a str, expected a Component"):
        component("attacks", "wrong", index=site.index())


def test_module_and_attribute_go_to_the_import_entry(site: Site) -> None:
    site.install_working("mlvgm-classifiers", "import_entry", name="import")
    site.install_working("mlvgm-timm", "timm_entry", name="timm")
    index = site.index()

    def routed(reference: str) -> tuple[str, str | None]:
        resolved = component("attacks", reference, index=index)
        return resolved.entry.name, resolved.argument

    assert routed("package.module:Attribute") == ("import", "package.module:Attribute")
    assert routed("package.module:Class.method?eps=1") == ("import", "package.module:Class.method")
    assert routed("json:loads") == ("import", "json:loads")
    assert routed("import:no_such_module:attribute") == ("import", "no_such_module:attribute")
    assert routed("timm:resnet18") == ("timm", "resnet18")
    with pytest.raises(PluginError, match=r"unknown attack 'tim' \(did you mean 'timm'"):
        routed("tim:resnet18")
    with pytest.raises(PluginError, match=r"unknown attack 'package\.module'"):
        routed("package.module:not an attribute")


def test_without_import_entry_module_references_are_unknown(site: Site) -> None:
    site.install_working("mlvgm-good", "good_module", name="good")
    with pytest.raises(PluginError, match=r"unknown attack 'os\.path'"):
        component("attacks", "os.path:join", index=site.index())


def test_argument_where_none_is_taken_or_twice(site: Site) -> None:
    site.install_working("mlvgm-good", "good_module", name="good")
    install(site, "plain", DESCRIPTOR.format(factory="a:b", config="a:b", api=(1, 0)))
    with pytest.raises(ConfigError, match="attack 'plain' takes no argument, got ':x'"):
        build("attacks", "plain:x", index=site.index())
    with pytest.raises(ConfigError, match=r"attack\.file is given twice"):
        build("attacks", "good:x?file=y", index=site.index())


def test_in_process_component_builds_like_any_other(site: Site) -> None:
    (site.folder / "local_parts.py").write_text(WORKING_PARTS)
    index = site.index()
    index.add("attacks", "local", Component("", factory="local_parts:build", config="local_parts:Config"))
    assert build("attacks", "local", {"eps": 3}, index=index).config.eps == 3
