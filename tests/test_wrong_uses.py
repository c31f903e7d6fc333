"""Wrong uses of every command end in one message, exit code 2, and nothing written."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlvgm.cli.main import main

LONG = "x" * 300
# Command line, and what must be said; ``…`` stands for the beginning of a run that is refused.
RUN = "run purify --purifier none --attack fgsm -n 2"
WRONG = {
    "values": [
        (f"{RUN} --set votes=true", "run.votes: must be a whole number (got True)"),
        (f"{RUN} --set votes=yes", "run.votes: must be a whole number (got 'yes')"),
        (f"{RUN} --set votes=0x8", "run.votes: must be a whole number (got '0x8')"),
        (f"{RUN} --set votes=1_000", "run.votes: must be a whole number"),
        (f"{RUN} --set votes=010", "run.votes: must be a whole number"),
        (f"{RUN} --set votes=1:30", "run.votes: must be a whole number"),
        (f"{RUN} --set votes=2.5", "run.votes: must be a whole number"),
        (f"{RUN} --set votes=1e300", "run.votes: must be below 2^63"),
        (f"{RUN} --set votes=null", "run.votes: must be a whole number"),
        (f"{RUN} --set votes=[1]", "run.votes: must be a whole number"),
        (f"{RUN} --set 'votes={{a: 1}}'", "run.votes: must be a whole number"),
        (f"{RUN} --set votes=", "'votes' has no value"),
        (f"{RUN} --set votes=100000000000", "run.votes: must be <= 10000"),
        (f"{RUN} --set score=1", "run.score: must be >= 20"),
        (f"{RUN} --set block=0", "run.block: must be >= 1"),
        (f"{RUN} --set memory=-1", "run.memory: must be >= 1"),
        (f"{RUN} --set seed=-1", "run.seed: must be >= 0"),
        (f"{RUN} --set seed=9223372036854775808", "run.seed: must be below 2^63"),
        (f"{RUN} --set fail_under=2", "run.fail_under: must be <= 1"),
        (f"{RUN} --set fail_under=nan", "run.fail_under: must be a number"),
        (f"{RUN} --set rule=best", "run.rule: must be 'logits', 'probabilities' or 'majority'"),
        (f"{RUN} --set rule=true", "run.rule: must be"),
        (f"{RUN} --set compare=1", "run.compare: must be true or false"),
        (f"{RUN} --set attack.eps=8/0", "attack.eps: must be a number (got '8/0')"),
        (f"{RUN} --set attack.eps=.nan", "attack.eps: must be a finite number"),
        (f"{RUN} --set attack.eps=1e999", "attack.eps: must be a finite number"),
        (f"{RUN} --set attack.eps=-0.1", "attack.eps: must be >= 0"),
        (f"{RUN} --set attack.norm=L3", "attack.norm: must be 'Linf' or 'L2'"),
        (f"{RUN} --set attack.direction=up", "attack.direction"),
        (f"{RUN} --set data.source=cloud", "data.source"),
        (f"{RUN} --set classifier.weights=true", "classifier.weights: must be a text"),
        (f"{RUN} --set radii=3", "run.radii: expected a list of numbers"),
        (f"{RUN} --set radii=[]", "run.radii: expected a list of numbers"),
        (f"{RUN} --set radii=[true]", "attack.eps: must be a number (got True)"),
        (f"{RUN} --set radii=[-1]", "attack.eps: must be >= 0"),
        (f"{RUN} --set radii=[1] --set attack.eps=1", "has no effect beside 'radii'"),
        ("run purify --set purifier.alphas=[0,2] -n 2", "alphas"),
        ("run purify --set purifier.alphas=keep:-1 -n 2", "alphas"),
        ("run purify --set purifier.noise=true -n 2", "purifier.noise: must be a number (got True)"),
        ("run purify --set purifier.blur_kernel=2 -n 2", "odd number"),
        ("run purify --set generator.temperature=0 -n 2", "generator.temperature: must be > 0"),
        ("run purify --set generator.temperature=[] -n 2", "generator.temperature: must be a number"),
    ],
    "names": [
        (f"{RUN} --set vote=3", "did you mean 'votes'"),
        (f"{RUN} --set attack.epsilon=3", "attack.epsilon: unknown option"),
        (f"{RUN} --set a.b.c=3", "unknown option 'a.b.c'"),
        (f"{RUN} --set =3", "expected KEY=VALUE"),
        (f"{RUN} --set votes", "expected KEY=VALUE"),
        (f"{RUN} --set", "requires an argument"),
        (f"{RUN} --attac fgsm", "No such option"),
        (f"{RUN} more", "unexpected extra argument"),
        ("run purify --attack nosuch", "unknown attack 'nosuch'"),
        ("run purify --attack ''", "expected NAME"),
        ("run purify --attack 'fgsm?eps'", "expected NAME?OPTION=VALUE"),
        ("run purify --attack 'fgsm?eps=true'", "attack.eps: must be a number"),
        ("run purify --attack fgsm:x", "takes no argument"),
        ("run purify --generator /nvae", "expected NAME"),
        ("run purify --generator nosuch/nvae", "nosuch"),
        ("run purify --purifier nosuch", "unknown purifier"),
        ("run purify --encoder nosuch", "unknown encoder"),
        ("run purify --classifier nosuch", "unknown classifier"),
        ("run purify --data nosuch", "unknown dataset"),
        ("run purify --budget huge", "unknown budget 'huge'"),
        ("run purify --protocol huge", "unknown protocol 'huge'"),
        ("run purify --protocol rigorous --budget demo", "protocol 'rigorous' is of budget 'rigorous'"),
        ("run purify --device abacus", "device 'abacus' is not available"),
        (f"{RUN} --attack fgsm --set radii=[1,1]", "is there twice"),
    ],
    "contradictions and bounds": [
        ("run purify -n 4 --set limit=8", "--limit 4 and --set limit=8 contradict each other"),
        ("run purify --attack fgsm --set attack=pgd", "contradict each other"),
        ("run purify --seed 1 --set seed=2", "--seed 1 and --set seed=2 contradict each other"),
        ("run purify --set votes=4 --set votes=8", "'votes' is set twice"),
        ("run purify -n 0", "run.limit: must be >= 1"),
        ("run purify -n -3", "run.limit: must be >= 1"),
        ("run purify -n true", "is not a valid int"),
        ("run purify -n 1e3", "is not a valid int"),
        ("run purify -n 99999999999999999999", "run.limit: must be below 2^63"),
        ("run purify --threads 0", "--threads"),
        ("run purify --threads 100000", "--threads"),
        ("run purify --set threads=100000", "run.threads: must be <= 1024"),
        ("run purify --seed -1", "--seed"),
        ("run purify --seed 99999999999999999999", "--seed"),
        ("run purify --seed one", "--seed"),
        ("run purify --fail-under nan", "run.fail_under: must be a finite number"),
    ],
    "files": [
        (f"{RUN} --config missing.yaml", "No such file"),
        (f"{RUN} --config .", "not a file"),
        (f"{RUN} --config /dev/zero", "not a file"),
        (f"{RUN} --config {LONG}", "File name too long"),
        (f"{RUN} --config empty.yaml", "expected a mapping of options, got nothing"),
        (f"{RUN} --config list.yaml", "expected a mapping of options, got list"),
        (f"{RUN} --config binary.yaml", "is not UTF-8 text"),
        (f"{RUN} --config deep.yaml", "nested too deeply"),
        (f"{RUN} --config aliases.yaml", "anchors and aliases are not taken"),
        (f"{RUN} --config tag.yaml", "tags are not taken"),
        (f"{RUN} --config twice.yaml", "'votes' is there twice (line 2"),
        (f"{RUN} --config dotted.yaml", "'attack.eps' is there twice"),
        (f"{RUN} --config number.yaml", "the key 1 is no text"),
        (f"{RUN} --config true.yaml", "run.votes: must be a whole number (got True)"),
        ("run purify --config nolabel.yaml", "a label is at most"),
        ("run purify --config longlabel.yaml", "a label is at most"),
        ("run purify --config newline.yaml", "a label is at most"),
        ("run purify --config norows.yaml", "run.rows"),
        ("run purify --config rowsnumber.yaml", "expected a list of mappings"),
        ("run purify --config rowunknown.yaml", "unknown option"),
        (f"{RUN} --out used", "is not empty"),
        (f"{RUN} --out used/file", "cannot write to output folder"),
        (f"{RUN} --out used/file/run", "cannot write to output folder"),
        (f"{RUN} --out {LONG}", "File name too long"),
        (f"{RUN} --out new/{LONG}/run", "File name too long"),
        (f"{RUN} --out /proc/run", "cannot write to output folder"),
        (f"{RUN} --set data.data_dir=nowhere", "expected the files of Fashion-MNIST in nowhere"),
        (f"{RUN} --data image-folder", "data.path: is required"),
        (f"{RUN} --data image-folder --set data.path=nowhere", "nowhere is not a folder"),
    ],
    "other runs": [
        ("run", None),
        ("run nosuch", "No such command 'nosuch'"),
        ("run alphas", "how are alphas to be chosen?"),
        ("run alphas --method nosuch", "nosuch"),
        ("run alphas --method random --evaluations 0", "--evaluations"),
        ("run alphas --method random --set method.evaluations=true", "method.evaluations: must be a whole number"),
        ("run alphas --method random --set search.images=1.5", "search.images: must be a whole number"),
        ("run alphas --method random --set search.weight=2", "search.weight: must be <= 1"),
        ("run alphas --method random --set limit=3", "'limit' has no meaning where alphas are chosen"),
        ("run alphas --method random --purifier none", "no latents to choose alphas for"),
        ("run alphas --method random --out used", "is not empty"),
        ("run alphas --method random --threads 100000", "--threads"),
        ("run score", "Missing argument"),
        ("run score nowhere", "no such folder or shard"),
        ("run score used", "no shards in 'used'"),
        ("run score used --norm L3", "expected Linf, L2 or L1"),
        ("run score used --eps 1", "--eps has no meaning without --norm"),
        ("run score used --norm L2 --eps nan", "expected a finite number"),
        ("run score used --norm L2 --eps -1", "--eps"),
        ("run mix -n 0", "--pairs"),
        ("run mix -n 5000", "--pairs"),
        ("run mix --columns 99999999999999999999", "--columns"),
        ("run mix --split nosuch", "unknown split 'nosuch'"),
        ("run mix --out mix.jpg", "expected a PNG file"),
        ("run mix --out used/file/x.png", "cannot write"),
        (f"run mix --out {LONG}.png", "File name too long"),
        ("run mix --encoder inversion", "samples have no use for an encoder"),
        ("run mix --set attack.eps=1", "unknown option 'attack.eps'"),
        ("run mix --set generator.temperature=true", "generator.temperature: must be a number (got True)"),
        ("run mix --data image-folder --set data.path=used", "found none"),
    ],
    "other commands": [
        ("", None),
        ("nosuch", "No such command"),
        ("--nosuch", "No such option"),
        ("purify", "Missing argument"),
        ("purify images", "Missing option"),
        ("purify nowhere --out new", "is not a folder"),
        ("purify used/file --out new", "is not a folder"),
        ("purify used --out new", "found none"),
        ("purify images --out images/new", "lies in the input folder"),
        ("purify images --out used", "is not empty"),
        ("purify images --out new --seed -1", "--seed"),
        ("purify images --out new --set purifier.noise=true", "purifier.noise: must be a number"),
        ("purify images --out new --set data.height=8", "unknown option 'data.height'"),
        ("purify images --out new --purifier nosuch", "unknown purifier"),
        ("purify images --out new --generator nosuch", "unknown generator"),
        ("purify images --out new --device abacus", "device 'abacus'"),
        ("train", "Missing argument"),
        ("train nosuch", "unknown kind"),
        ("train generator", "train what generator?"),
        ("train generator nosuch", "nosuch"),
        ("train generator nvae --resume", "nothing to resume"),
        ("train generator nvae --out used", "is not empty"),
        ("train generator nvae --out used/file", "cannot write"),
        ("train generator nvae --seed -1", "--seed"),
        ("train generator nvae --set train.steps=true", "train.steps: must be a whole number (got True)"),
        ("train generator nvae --set train.steps=0", "train.steps: must be >= 1"),
        ("train generator nvae --set attack.eps=1", "unknown option 'attack.eps'"),
        ("train generator nvae --data nosuch", "unknown dataset"),
        ("audit nosuch", "nosuch"),
        ("audit --attack nosuch", "unknown attack"),
        ("audit --only nosuch", "unknown check 'nosuch'"),
        ("audit --set check.nosuch.x=1", "check.nosuch.x"),
        ("audit -n 0", "--limit"),
        ("audit --threads 100000", "--threads"),
        ("audit --out used/file", "cannot write"),
        ("weights convert nowhere --to new.safetensors", "nowhere"),
        ("weights convert used --to new.safetensors", "used"),
        ("weights convert used/file --to new.safetensors --config /dev/zero", "not a file"),
        ("weights convert used/file --to new.safetensors --config twice.yaml", "there twice"),
        ("plugins info", "Missing argument"),
        ("plugins info nvae", "expected KIND/NAME"),
        ("plugins info generators/nosuch", "unknown generator"),
        ("plugins info nosuch/nvae", "unknown kind of plugin"),
        ("plugins list --kind nosuch", "unknown kind of plugin"),
        ("runs show nowhere", "not a run directory"),
        (f"runs show {LONG}", ""),
        ("runs resume used", "not a run directory"),
        ("runs resume used --config missing.yaml", "not a run directory"),
        ("report nowhere", "nowhere"),
        ("report used", "used"),
    ],
}
FILES = {
    "empty.yaml": "",
    "list.yaml": "- votes",
    "binary.yaml": b"\xff\x00\xfe",
    "deep.yaml": "[" * 10_000,
    "aliases.yaml": "a: &a [x, x]\nb: [*a, *a]",
    "tag.yaml": "votes: !!python/object/apply:os.getpid []",
    "twice.yaml": "votes: 2\nvotes: 3",
    "dotted.yaml": "attack.eps: 1\nattack: {eps: 2}",
    "number.yaml": "1: 2",
    "true.yaml": "votes: true",
    "nolabel.yaml": "rows: [{label: '', purifier: none}]",
    "longlabel.yaml": f"rows: [{{label: {LONG}, purifier: none}}]",
    "newline.yaml": 'rows: [{label: "a\\nb", purifier: none}]',
    "norows.yaml": "rows: []",
    "rowsnumber.yaml": "rows: [1]",
    "rowunknown.yaml": "rows: [{label: a, purifier: none, colour: red}]",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    Path("used").mkdir()
    Path("used/file").write_text("precious")
    Path("images").mkdir()
    Image.fromarray(np.zeros((32, 32), np.uint8)).save("images/a.png")
    yield tmp_path


@pytest.fixture
def end(folder: Path, capfd: pytest.CaptureFixture[str]) -> Callable[[str], tuple[object, str, str]]:
    def run(line: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main(shlex.split(line))
        printed = capfd.readouterr()
        return stopped.value.code, printed.out, printed.err

    return run


@pytest.mark.parametrize("group", WRONG)
def test_wrong_uses(group: str, folder: Path, end: Callable[[str], tuple[object, str, str]]) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    wrong = []
    for number, (line, said) in enumerate(WRONG[group]):
        # A wrong use that is not refused ends soon.
        line = line.replace("run purify", "run purify --dry-run").replace("run alphas -", "run alphas --dry-run -")
        as_json = number % 3 == 0 and said is not None
        code, out, err = end(f"{line} --json" if as_json and "--json" not in line else line)
        last = err.splitlines()[-1] if err else ""
        if said is None:  # a command without arguments shows its help
            fine = code == 2 and "Usage: mlvgm" in out
        elif as_json and last.startswith("{"):
            told = json.loads(last)
            fine = told["exit"] == code == 2 and said in f"{told['error']} ({told['hint']})"
        else:
            fine = code == 2 and said in last and err.count("error: ") == 1 and len(last) < 1500
        if not fine or "Traceback" in err or "internal error" in err:
            wrong.append((line[:120], code, said, err[-300:]))
    assert not wrong
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before, "something was left behind"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RANK": "5", "WORLD_SIZE": "2"}, "RANK=5 of WORLD_SIZE=2"),
        ({"WORLD_SIZE": "two", "RANK": "0"}, "WORLD_SIZE='two'"),
        ({"MLVGM_SET_VOTES": "true"}, "run.votes: must be a whole number (got True)"),
        ({"MLVGM_SET_ATTACK__EPS": "0x8"}, "attack.eps: must be a number (got '0x8')"),
        ({"MLVGM_SET_NOSUCH": "1"}, "unknown option 'nosuch'"),
    ],
)
def test_wrong_environments(
    variables: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[str], tuple[object, str, str]],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code, out, err = end(RUN)
    assert (code, out) == (2, "") and said in err


def test_values_from_the_environment_are_values(
    monkeypatch: pytest.MonkeyPatch, end: Callable[[str], tuple[object, str, str]]
) -> None:
    for name, value in {"VOTES": "8", "ATTACK__EPS": "8/255", "SEED": "", "DATA__DATA_DIR": "null"}.items():
        monkeypatch.setenv(f"MLVGM_SET_{name}", value)
    code, out, _ = end(f"{RUN} --dry-run --json")
    config = json.loads(out)["config"]
    assert code == 0 and (config["votes"], config["seed"]) == (8, 0)
    assert config["attacks"][0]["attack"]["eps"] == 8 / 255
