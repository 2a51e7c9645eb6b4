"""What holds for the repository as a whole: nothing of this machine in it, names that say something, honest locks."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "connectors", "pipelines")
LONGEST_MODULE = 300  # lines that are not blank
LOCKS = ("requirements.lock", "requirements-server.lock")
NOT_OURS = {"build", "data", "dist", "node_modules", "__pycache__"}

# Written in parts, so that this file may be committed.
REGISTRIES = re.compile(
    "|".join(
        re.escape(host)
        for host in (
            "pypi" + ".org",
            "python" + "hosted.org",
            "maven" + ".org",
            "maven" + ".apache.org",
            "npm" + "js.org",
            "npm" + "js.com",
            "yarn" + "pkg.com",
            "--index" + "-url http",
            "--extra-index" + "-url",
        )
    )
)
# Homes and folders of a machine: an absolute path, not a part of a longer one or of an address.
PLACES = ("root", "work", "opt/wheels", r"home/[\w.-]+", r"Users/[\w.-]+")
MACHINE_PATHS = re.compile(rf"(?<![\w.}}/-])/(?:{'|'.join(PLACES)})(?=/|\b)/?[\w.]*")
SAYS_NOTHING = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}

project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def committed_files() -> list[Path]:
    """Files that git tracks; without git, or without a repository, everything that is not made here."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True, text=True
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        return sorted(
            path
            for path in ROOT.rglob("*")
            if path.is_file()
            and not any(part in NOT_OURS or part.startswith(".") for part in path.relative_to(ROOT).parts)
        )
    return sorted(path for name in listed if name and (path := ROOT / name).is_file())


def texts() -> dict[str, str]:
    found = {}
    for path in committed_files():
        data = path.read_bytes()
        if b"\0" not in data[:8192]:
            found[str(path.relative_to(ROOT))] = data.decode("utf-8")
    return found


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts().items()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def locked(lock: str) -> dict[str, set[str]]:
    """Requirement line (name, version, marker) of a lock file, and its hashes."""
    found: dict[str, set[str]] = {}
    requirement = ""
    for line in (ROOT / lock).read_text("utf-8").splitlines():
        if line.startswith("    --hash="):
            found[requirement].add(line.strip(" \\"))
        else:
            requirement = line.removesuffix(" \\")
            found[requirement] = set()
    return found


def package(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")


def python_files() -> list[Path]:
    return [p for p in committed_files() if p.suffix == ".py"]


def test_no_address_of_a_package_registry_is_committed() -> None:
    assert lines_with(REGISTRIES) == []


def test_no_path_of_a_machine_is_committed() -> None:
    assert lines_with(MACHINE_PATHS) == []


@pytest.mark.parametrize(
    "path", ["{}root{}x", "in {}home{}ada/friction", "'{}work{}main'", "{}Users{}ada", "={}root{}.m2"]
)
def test_a_path_of_a_machine_is_recognised(path: str) -> None:
    assert MACHINE_PATHS.search(path.format("/", "/"))


@pytest.mark.parametrize("path", ["friction{}work{}main", "https://a.example{}home{}ada", "{}workers{}", "{}app{}data"])
def test_what_only_looks_like_one_is_left_alone(path: str) -> None:
    assert not MACHINE_PATHS.search(path.format("/", "/"))


def test_an_address_of_a_registry_is_recognised() -> None:
    assert REGISTRIES.search("https://files.python" + "hosted.org/packages/x.whl")


def test_file_names_are_nouns_that_say_something() -> None:
    assert [str(p.relative_to(ROOT)) for p in committed_files() if p.stem.lower() in SAYS_NOTHING] == []


def test_one_reading_holds_a_module() -> None:
    too_long = {
        str(path.relative_to(ROOT))
        for path in python_files()
        if path.relative_to(ROOT).parts[0] in PACKAGES
        and sum(bool(line.strip()) for line in path.read_text("utf-8").splitlines()) > LONGEST_MODULE
    }
    assert too_long == set()


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_says_that_it_is_typed(name: str) -> None:
    assert (ROOT / name / "py.typed").is_file()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_exact_versions_with_hashes_and_no_index(lock: str) -> None:
    requirements = locked(lock)
    assert len(requirements) > 50
    wrong = [
        said
        for said, hashes in requirements.items()
        if not re.fullmatch(r"[a-z0-9-]+==[\w.!+-]+( ; .+)?", said)
        or not hashes
        or not all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", h) for h in hashes)
    ]
    assert wrong == []


def test_the_locks_hold_everything_that_the_project_asks_for() -> None:
    needed = {package(said) for said in project["project"]["dependencies"]}
    server, everything = ({package(said) for said in locked(lock)} for lock in reversed(LOCKS))
    assert needed - server == set()
    for extra, requirements in project["project"]["optional-dependencies"].items():
        assert {package(said) for said in requirements} - everything == set(), f"make lock ({extra})"


def test_the_image_runs_the_versions_that_were_tested() -> None:
    everything, server = (
        {(said.partition(" ;")[0], frozenset(hashes)) for said, hashes in locked(lock).items()} for lock in LOCKS
    )
    assert server - everything == set()


def test_the_changelog_tells_of_this_version() -> None:
    heading = f"## [{project['project']['version']}]"
    assert heading in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_links_between_our_documents_lead_somewhere() -> None:
    broken = [
        f"{name}: {target}"
        for name, text in texts().items()
        if name.endswith(".md")
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
        if "://" not in target and not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert broken == []


def test_make_alone_says_what_can_be_asked_for() -> None:
    said = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, check=True, text=True).stdout
    for target in ("install", "demo", "test", "lint", "types", "clean", "help"):
        assert re.search(rf"^  {target} +\S", said, re.MULTILINE), target


def test_a_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = {name for names in re.findall(r"^([a-z ]+):", makefile, re.MULTILINE) for name in names.split()}
    named = set(re.findall(r"make ([a-z]+)", (ROOT / "README.md").read_text("utf-8")))
    assert {"demo", "test"} <= named
    assert named - targets == set()


@pytest.mark.parametrize("script", [".ci/run", "tools/install", "tools/lock"])
def test_a_script_can_be_run_as_it_is(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


def test_an_interpreter_that_is_too_old_is_refused_by_name(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text(f'#!/bin/sh\ncase "$2" in *sys.exit*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    old.chmod(0o755)
    checkout = tmp_path / "checkout"
    (checkout / "tools").mkdir(parents=True)
    for name in ("tools/install", "requirements.lock", "pyproject.toml"):
        (checkout / name).write_bytes((ROOT / name).read_bytes())
    run = subprocess.run(
        ["sh", str(checkout / "tools/install")],
        env={"PATH": os.environ["PATH"], "PYTHON": str(old)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "Python 3.11, 3.12, 3.13 or 3.14 is needed" in run.stderr
    assert "python3.9" in run.stderr
    assert not (checkout / ".venv").exists()
