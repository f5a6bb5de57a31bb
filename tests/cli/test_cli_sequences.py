"""`fit`, `evaluate` and `recommend` for models that read histories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from torchsse.cli import app
from torchsse.cli.models import estimator_of
from torchsse.data import as_sequences
from torchsse.data.sequence_split import leave_last_out
from torchsse.metrics import paired_bootstrap
from torchsse.recsys import SSEPT, SASRec
from torchsse.recsys.sequence import Candidates

SMALL = ["--hidden", 8, "--max-length", 12, "--epochs", 4, "--validate-every", 2, "--learning-rate", 0.02]
FEW = ["--batch-size", 16, "--dropout", 0]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def clock() -> list[tuple[int, int]]:
    """Rows `user item`, in the order of time: item i of 20 is followed by i + 1."""
    return [(user + 100, (user + t) % 20 + 500) for user in range(30) for t in range(8)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    rows = clock()
    (folder / "actions.txt").write_text("".join(f"{u} {i}\n" for u, i in rows))
    (folder / "shorter.txt").write_text("".join(f"{u} {i}\n" for u, i in rows[1:]))
    # the same histories, out of order in the file
    timed = [f"{u},{i},{t}" for t, (u, i) in enumerate(rows)]
    (folder / "timed.csv").write_text("user,item,timestamp\n" + "\n".join(timed[::-1]) + "\n")
    for name, kept in (("head", range(6)), ("tail", range(6, 8))):
        (folder / f"{name}.txt").write_text("".join(f"{u} {i}\n" for n, (u, i) in enumerate(rows) if n % 8 in kept))
    (folder / "edges.csv").write_text("a,b\n" + "".join(f"{i},{i + 1}\n" for i in range(500, 519)))
    (folder / "titles.csv").write_text("id,title\n" + "".join(f"{i},Item {i}\n" for i in range(500, 520)))
    return folder


@pytest.fixture(scope="module")
def fitted(files: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for model, more in (
        (
            "sasrec",
            [
                "--epochs",
                24,
                "--validate-every",
                12,
                "--loss",
                "softmax",
                "--p0-input",
                0.05,
                "--item-graph",
                files / "edges.csv",
                "--rho-item",
                20,
            ],
        ),
        ("ssept", ["--user-hidden", 8, "--p0-user", 0.5, "--loss", "gbce", "--num-negatives", 4]),
    ):
        out = tmp_path_factory.mktemp("models") / model
        found[model] = out
        command = ["fit", model, files / "actions.txt", "--validation", "last"]
        done = run(*command, *SMALL, *FEW, *more, "--out", out)
        assert done.exit_code == 0, done.stderr
        assert "30 users, 20 items; train: 180 actions, validation: 30, left out for evaluate: 30" in done.stderr
        assert ", validation NDCG@10 " in done.stderr
        assert "targets/s, at most" in done.stderr
        assert "epochs in " in done.stdout
        assert "validation NDCG@10 " in done.stdout
        assert "targets/s; saved in " in done.stdout
    return found


def test_evaluate_names_both_protocols(files: Path, fitted: dict[str, Path], tmp_path: Path) -> None:
    command = ["evaluate", fitted["sasrec"], files / "actions.txt", "--protocol", "both", "--negatives", 7]
    shown = run(*command)
    assert shown.exit_code == 0, shown.stderr
    assert "full: all items" in shown.stdout
    assert "sampled: next item against 7 random items that the user has not, drawn once (seed 0)" in shown.stdout
    assert "targets: each user's last action; the one before is in the history" in shown.stdout
    assert "NDCG@k" not in shown.stdout
    found = json.loads(run(*command, "--json").stdout)
    assert found["full"]["n_users"] == found["sampled"]["n_users"] == 30
    assert found["full"]["hr@1"] > 0.5  # the clock is learned
    assert found["sampled"]["hr@5"] >= found["full"]["hr@5"]
    # the same numbers as the estimator's own
    model = SASRec.load(fitted["sasrec"])
    own = model.evaluate(files / "tail.txt")
    assert run("evaluate", fitted["sasrec"], files / "tail.txt", "--json").exit_code == 0
    later = json.loads(run("evaluate", fitted["sasrec"], files / "tail.txt", "--json").stdout)
    assert later["targets"] == "all actions of the file, as what followed train"
    assert later["full"]["ndcg@10"] == pytest.approx(own["means"]["ndcg@10"])
    timed = json.loads(run("evaluate", fitted["sasrec"], files / "timed.csv", "--split", "last", "--json").stdout)
    assert timed["full"] == found["full"]


def test_a_global_split_in_time(files: Path, fitted: dict[str, Path], tmp_path: Path) -> None:
    """The latest tenth of all actions is the test part, and `evaluate` finds that out."""
    out = tmp_path / "model"
    done = run("fit", "sasrec", files / "timed.csv", "--validation", "time", *SMALL, "--epochs", 2, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "train: 192 actions, validation: 24, left out for evaluate: 24" in done.stderr
    found = json.loads(run("evaluate", out, files / "timed.csv", "--protocol", "both", "--json").stdout)
    assert found["targets"] == "the latest tenth of all actions; the tenth before is in the history"
    assert found["full"]["n_users"] == found["sampled"]["n_users"] == 3
    asked = run("evaluate", out, files / "timed.csv", "--protocol", "both", "--split", "time", "--json")
    assert json.loads(asked.stdout) == found
    assert run("recommend", out, "--user", 129, "--actions", files / "timed.csv", "-k", 1).exit_code == 0
    for command, message in (
        (["fit", "sasrec", files / "actions.txt", "--validation", "time", "--out", tmp_path / "x"], "with timestamps"),
        (["evaluate", out, files / "actions.txt", "--split", "time"], "with timestamps"),
        (["evaluate", fitted["sasrec"], files / "timed.csv", "--split", "time"], "less the latest fifth of all"),
        (["evaluate", out, files / "timed.csv", "--split", "last"], "less each user's last two actions is not"),
    ):
        wrong = run(*command)
        assert (wrong.exit_code, wrong.stderr.count("\n")) == (1, 1), wrong.stderr
        assert message in wrong.stderr


def test_a_user_without_a_history_has_no_ranking(tmp_path: Path) -> None:
    """Ties would rank by item id: the numbers would depend on how items are called."""
    rows = [(user, (user + t) % 12, 10 * t + user) for user in range(9) for t in range(9)]
    rows += [(50 + new, new, 1000 + new) for new in range(9)]
    for name, turned in (("a", False), ("b", True)):
        lines = [f"{u},{11 - i if turned else i},{t}" for u, i, t in rows]
        (tmp_path / f"{name}.csv").write_text("user,item,timestamp\n" + "\n".join(lines) + "\n")
        fitted = run(
            "fit", "sasrec", tmp_path / f"{name}.csv", "--validation", "time", *SMALL, "--out", tmp_path / name
        )
        assert fitted.exit_code == 0, fitted.stderr
        both = run("evaluate", tmp_path / name, tmp_path / f"{name}.csv", "--protocol", "both", "--json")
        found = json.loads(both.stdout)
        assert found["full"]["n_users"] == 9
        assert found["full"]["hr@10"] == found["sampled"]["hr@10"] == 0
        answer = run("recommend", tmp_path / name, "--user", 53, "--user", 1, "-k", 99)
        assert answer.exit_code == 0
        assert "user 53: nothing to recommend; no history" in answer.stderr
        assert "user 1:" not in answer.stderr


def test_recommend_reads_actions_as_fit_did(files: Path, fitted: dict[str, Path], tmp_path: Path) -> None:
    own = ["recommend", fitted["sasrec"], "--user", 101, "-k", 2, "--json"]
    told = run(*own, "--actions", files / "actions.txt")
    assert "histories go on with 60 actions, what the model did not learn of the file" in told.stderr
    assert "histories go on with 60 actions, all of the file" in run(*own, "--actions", files / "tail.txt").stderr
    train = run(*own, "--actions", files / "head.txt")
    assert "is what the model learned from" in train.stderr
    assert train.stdout == run(*own).stdout
    (tmp_path / "unknown.txt").write_text("101 9\n101 8\n")
    assert (
        "2 of users or items that are not in train are left out"
        in run(*own, "--actions", tmp_path / "unknown.txt").stderr
    )
    lines = (files / "tail.txt").read_text().split("\n")[:-1]
    turned = "".join(f"{item},{user}\n" for user, item in map(str.split, lines))
    (tmp_path / "turned.csv").write_text("film,who\n" + turned)
    asked = run(*own, "--actions", tmp_path / "turned.csv", "--user-column", "who", "--item-column", "film")
    assert asked.stdout == run(*own, "--actions", files / "tail.txt").stdout
    wrong = run(*own, "--order", "file")
    assert (wrong.exit_code, "--actions, which is not given" in wrong.stderr) == (1, True)


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        ("1 5\n2 6\n3 7\n", [], "at least two actions"),
        ("1 5\n1 6\n1 7\n2 5\n2 6\n2 7\n", ["--validation", "last"], "at least two actions"),
        ("user,item,timestamp\n1,5,3\n1,6,\n1,7,1\n", [], "1 of 3 have none"),
        ("1 5\n1 6\n", ["--seed", str(10**20)], "below 2^63"),
        ("1 5\n1 6\n", ["--metric", "ndcg@99999999999"], "'@' and 1 to"),
    ],
)
def test_what_would_be_learned_wrong_is_refused(tmp_path: Path, content: str, more: list[str], message: str) -> None:
    (tmp_path / "actions.csv").write_text(content)
    done = run("fit", "sasrec", tmp_path / "actions.csv", *SMALL, *more, "--out", tmp_path / "m")
    assert done.exit_code == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: "), done.stderr
    assert message in last
    assert not (tmp_path / "m").exists()


def test_candidates_of_other_histories_are_refused(files: Path, fitted: dict[str, Path], tmp_path: Path) -> None:
    """The same users and targets, but one history less: what was drawn for it may be in the others."""
    kept = tmp_path / "kept"
    command = ["evaluate", fitted["sasrec"], files / "actions.txt", "--protocol", "sampled", "--candidates", kept]
    assert run(*command).exit_code == 0
    found = Candidates.load(kept)
    had = np.asarray(SASRec.load(fitted["sasrec"]).item_ids.ids)[:1]
    Candidates(found.users, found.targets, np.repeat(had, 100)[None].repeat(30, 0), found.seed).save(tmp_path / "bad")
    wrong = run(*command[:-1], tmp_path / "bad")
    assert (wrong.exit_code, "drawn for other data" in wrong.stderr) == (1, True), wrong.stderr


def test_one_folder_for_run_and_model_is_refused(files: Path, tmp_path: Path) -> None:
    done = run("fit", "sasrec", files / "actions.txt", "--checkpoint", tmp_path / "m", "--out", tmp_path / "m")
    assert (done.exit_code, "a folder each" in done.stderr) == (1, True), done.stderr


def test_candidates_are_kept(files: Path, fitted: dict[str, Path], tmp_path: Path) -> None:
    command = [
        "evaluate",
        fitted["ssept"],
        files / "actions.txt",
        "--protocol",
        "sampled",
        "--candidates",
        tmp_path / "c",
    ]
    first = run(*command, "--negatives", 5, "--json")
    assert first.exit_code == 0, first.stderr
    assert (tmp_path / "c" / "model.json").exists()
    assert run(*command, "--negatives", 5, "--json").stdout == first.stdout
    other = run(*command, "--negatives", 6)
    assert (other.exit_code, "another test part, number or seed" in other.stderr) == (1, True)


def test_recommend(files: Path, fitted: dict[str, Path]) -> None:
    after = run("recommend", fitted["sasrec"], "--history", "503,504,505", "-k", 1, "--json")
    assert json.loads(after.stdout)[0]["item"] == 506
    assert "user" not in json.loads(after.stdout)[0]
    shown = run("recommend", fitted["sasrec"], "--history", "503, 504", "-k", 2, "--titles", files / "titles.csv")
    assert "Item 505" in shown.stdout
    assert run("recommend", fitted["sasrec"], "--history", "503,504", "--csv").stdout.startswith("rank,item,score\n1,5")
    since = files / "tail.txt"
    for more, known in (([], None), (["--actions", files / "actions.txt"], since), (["--actions", since], since)):
        rows = json.loads(run("recommend", fitted["sasrec"], "--user", 100, "-k", 3, *more, "--json").stdout)
        model = SASRec.load(fitted["sasrec"])
        if known is not None:
            model.observe(known)  # whole histories and what followed train come to the same
        assert [row["user"] for row in rows] == [100] * 3
        assert [row["item"] for row in rows] == model.recommend([100], 3)[0][0].tolist()
    explained = run("recommend", fitted["sasrec"], "--user", 100, "--explain", "-k", 2)
    assert (explained.exit_code, "user 100" in explained.stdout) == (1, False)
    assert explained.stderr == "error: --explain: a SASRec reads the history as a whole; it has no such ties\n"
    for more in ([], ["--user", 103]):
        assert run("recommend", fitted["ssept"], "--history", "503,504", *more).exit_code == 0


def test_settings_by_name(files: Path, tmp_path: Path) -> None:
    command = [
        "fit",
        "sasrec",
        files / "head.txt",
        "--epochs",
        1,
        "--validation",
        files / "tail.txt",
        "--order",
        "file",
    ]
    done = run(*command, "--setting", "table4-b2-both", "--hidden", 4, "--max-length", 8, "--out", tmp_path / "m")
    assert done.exit_code == 0, done.stderr
    model = SASRec.load(tmp_path / "m")
    assert (model.hidden, model.p0_output, model.weight_decay, model.blocks) == (4, 0.1, 1e-5, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "bpr", "{}/nowhere", "--setting", "table4-b2-none"], "--setting: bpr has no such option"),
        (["fit", "mf", "{}/nowhere", "--order", "file"], "--order: mf has no such option; it is for sasrec, ssept"),
        (["fit", "sasrec", "{}/nowhere", "--setting", "ssept-ml1m"], "is one of ssept, not of sasrec"),
        (["fit", "sasrec", "{}/nowhere", "--setting", "table5"], "setting: expected one of"),
        (["fit", "sasrec", "{}/nowhere", "--p0-user", "0.5"], "--p0-user: sasrec has no such option; it is for"),
        (["fit", "sasrec", "{}/nowhere", "--loss", "mse"], "loss: expected one of"),
        (["fit", "sasrec", "{}/nowhere", "--hidden", "5", "--heads", "2"], "heads: expected a divisor"),
        (["fit", "sasrec", "{}/nowhere", "--inner", "0"], "inner: expected an integer"),
        (["fit", "sasrec", "{}/actions.txt", "--feedback", "implicit"], "every row is an action"),
        (["fit", "sasrec", "{}/actions.txt", "--order", "timestamp"], "expected a timestamp in every row"),
        (["fit", "sasrec", "{}/actions.txt", "--validation", "{}/none.txt"], "none.txt"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_fit_refusals(files: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = run(*[word.replace("{}", str(files)) for word in arguments], "--out", tmp_path / "out")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("error: ")
    assert message in done.stderr


def test_evaluate_against_another_model(files: Path, fitted: dict[str, Path]) -> None:
    """The same users and random items for both, and the paired bootstrap of the library."""
    command = ["evaluate", fitted["sasrec"], files / "actions.txt", "--protocol", "both", "--negatives", 7]
    done = run(*command, "--against", fitted["ssept"])
    assert done.exit_code == 0, done.stderr
    assert f"full, against {fitted['ssept']}: paired bootstrap over 30 users, p not corrected" in done.stdout
    found = json.loads(run(*command, "--against", fitted["ssept"], "--json").stdout)
    theirs = json.loads(run("evaluate", fitted["ssept"], *command[2:], "--json").stdout)
    for protocol in ("full", "sampled"):
        for metric in ("ndcg@10", "hr@10"):
            told = found["against"][protocol][metric]
            assert told["value"] == pytest.approx(found[protocol][metric])
            assert told["against"] == pytest.approx(theirs[protocol][metric])
            assert told["difference"] == pytest.approx(found[protocol][metric] - theirs[protocol][metric])
            assert told["difference_ci95"][0] <= told["difference"] <= told["difference_ci95"][1]
    mine, other = (kind.load(fitted[name]) for kind, name in ((SASRec, "sasrec"), (SSEPT, "ssept")))
    whole = as_sequences(files / "actions.txt")
    parts = leave_last_out(whole)
    a, b = (model.evaluate(parts.test, history=parts.validation)["per_user"]["ndcg@10"] for model in (mine, other))
    oracle = paired_bootstrap(a, b)
    assert found["against"]["full"]["ndcg@10"]["p_value"] == oracle.p_value
    assert found["against"]["full"]["ndcg@10"]["difference_ci95"] == [oracle.low, oracle.high]
    itself = json.loads(run(*command, "--against", fitted["sasrec"], "--json").stdout)["against"]
    assert itself["sampled"]["hr@10"]["difference"] == 0
    assert itself["sampled"]["hr@10"]["p_value"] == 1


def test_use_refusals(files: Path, fitted: dict[str, Path], tmp_path: Path) -> None:
    assert run("fit", "popularity", files / "actions.txt", "--out", tmp_path / "other").exit_code == 0
    words = ["--hidden", 4, "--epochs", 1, "--out", tmp_path / "all"]
    assert run("fit", "sasrec", files / "head.txt", *words).exit_code == 0
    whole = ["--hidden", 4, "--epochs", 1, "--out", tmp_path / "whole"]
    assert run("fit", "sasrec", files / "actions.txt", *whole).exit_code == 0
    actions, model = files / "actions.txt", fitted["sasrec"]
    for command, message in (
        (["evaluate", model, files / "shorter.txt", "--split", "last"], "is not what the model was trained on"),
        (["evaluate", model, actions, "--negatives", 5], "--negatives is for --protocol sampled or both"),
        (["evaluate", tmp_path / "other", actions, "--protocol", "full"], "--protocol is for models of histories"),
        (["evaluate", model, actions, "--against", tmp_path / "other"], "expected a model of histories, got a Popul"),
        (["evaluate", model, actions, "--against", tmp_path / "nowhere"], "nowhere"),
        (["evaluate", model, files / "tail.txt", "--against", tmp_path / "all", "--split", "last"], "is not what the"),
        (["evaluate", model, actions, "--against", tmp_path / "whole"], "whole learned other actions of this file"),
        (["evaluate", tmp_path / "other", actions, "--against", model], "--against is for models of histories"),
        (["recommend", model], "--user ID, or a history"),
        (["recommend", model, "--history", "1,2"], "expected at least one item of the train set"),
        (["recommend", model, "--history", "a,b"], "item ids are integers in this model, got 'a'"),
        (["recommend", model, "--history", "503", "--user", 100], "has no table of users"),
        (["recommend", model, "--history", "503", "--explain"], "--history and --explain exclude each other"),
        (["recommend", fitted["ssept"], "--history", "503", "--user", 7], "expected a user of the train set"),
        (["recommend", tmp_path / "other", "--history", "503"], "--history is for models of histories"),
        (["recommend", tmp_path / "other", "--user", 100, "--actions", actions], "--actions is for models of"),
    ):
        done = run(*command)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1), (command, done.stderr)
        assert message in done.stderr


def test_a_killed_fit_goes_on(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in its third epoch, the same command ends with the same weights as an uninterrupted run."""
    from torchsse.cli.models import ModelName

    command = ["fit", "sasrec", files / "actions.txt", "--validation", "last", *SMALL, *FEW]
    assert run(*command, "--out", tmp_path / "whole").exit_code == 0
    kind = estimator_of(ModelName.sasrec)
    kept = kind.fit

    def killed(self: Any, train: Any, validation: Any = None, callback: Any = None) -> Any:
        def stop(epoch: int, info: dict[str, Any]) -> None:
            callback(epoch, info)
            if epoch == 3:
                raise KeyboardInterrupt

        return kept(self, train, validation, stop)

    monkeypatch.setattr(kind, "fit", killed)
    done = run(*command, "--checkpoint", tmp_path / "run", "--out", tmp_path / "out")
    assert (done.exit_code, "the same command goes on" in done.stderr) == (130, True)
    monkeypatch.undo()
    done = run(*command, "--checkpoint", tmp_path / "run", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert "going on after epoch 2 of the run" in done.stderr
    one, other = (SASRec.load(tmp_path / name).network.state_dict() for name in ("whole", "out"))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_help_says_how(files: Path) -> None:
    assert "sasrec        self-attention over the history" in run("fit", "--help").stdout
    assert "--protocol both" in run("evaluate", "--help").stdout
    assert "--history 12,45,7" in run("recommend", "--help").stdout


def test_a_first_line_that_is_data(tmp_path: Path) -> None:
    """Ids that are all text: fit, evaluate and recommend are told so, and no action is lost."""
    rows = "".join(f"u{u} i{(u + t) % 5}\n" for u in range(6) for t in range(5))
    for name, end in (("actions.txt", ""), ("more.txt", "u0 i0\n")):
        (tmp_path / name).write_text(rows + end)
    words = ["--hidden", 4, "--epochs", 1, "--out", tmp_path / "m", "--no-header"]
    done = run("fit", "sasrec", tmp_path / "actions.txt", *words)
    assert (done.exit_code, "train: 30 actions, 6 users, 5 items" in done.stderr) == (0, True), done.stderr
    done = run("fit", "popularity", tmp_path / "actions.txt", "--no-header", "--out", tmp_path / "p")
    assert (done.exit_code, "train: 30" in done.stderr) == (0, True), done.stderr
    done = run("recommend", tmp_path / "m", "--user", "u0", "--actions", tmp_path / "more.txt", "--no-header")
    assert done.exit_code == 0, done.stderr
    assert "was taken for a header" not in done.stderr
    done = run("recommend", tmp_path / "m", "--user", "u0", "--no-header")
    assert "options of how a file is read are for --actions, which is not given" in done.stderr
