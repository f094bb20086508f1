"""Git's helpers commit and restore exactly what they are told to, and nothing of a person's own.

What is absent and what cannot be read are two answers.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from amun.core.errors import AmunError, InputError
from tasks.tools import git
from tasks.tools.git import (
    commit_paths,
    find_root,
    has_commit,
    is_ancestor,
    is_kept,
    list_changes,
    list_files,
    pack_objects,
    read_committed,
    require_branch,
    require_clean,
    restore_from,
    restore_paths,
    run_git,
    tag_commit,
)
from tests.workspaces import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one commit of `a` and `folder/b`."""
    run_git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    write(tmp_path, "a", "folder/b")
    run_git(tmp_path, "add", "--", "a", "folder/b")
    run_git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def write(root: Path, *paths: str, content: str = "first") -> None:
    for path in paths:
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(content, encoding="utf-8")


def test_commit_holds_its_paths_alone(root: Path) -> None:
    write(root, "a", "folder/b", "new", "unasked", content="second")
    run_git(root, "add", "--", "folder/b")
    commit = commit_paths(root, ["a", "new", "not there"], "second")
    assert commit == run_git(root, "rev-parse", "HEAD")
    assert run_git(root, "show", "--name-only", "--format=", commit).split() == ["a", "new"]
    assert sorted(list_changes(root)) == ["folder/b", "unasked"]


@pytest.mark.parametrize("name", ["Räume für Ж".encode(), "Räume".encode("latin-1")])
def test_names_in_any_letters_are_kept(name: bytes, root: Path) -> None:
    path = os.fsdecode(name)
    write(root, path, content="é")
    commit_paths(root, [path], "für Ж")
    assert (list_changes(root), read_committed(root, Path(path))) == ([], "é")
    assert path in list_files(root, ".")


@pytest.mark.parametrize("is_staged", [False, True])
def test_commit_holds_what_was_deleted(is_staged: bool, root: Path) -> None:
    (root / "a").unlink()
    if is_staged:
        run_git(root, "rm", "--quiet", "--cached", "--", "a")
    write(root, "folder/b", content="second")
    commit = commit_paths(root, ["a", "folder/b", "not there"], "second")
    assert run_git(root, "show", "--name-status", "--format=", commit).split() == ["D", "a", "M", "folder/b"]
    assert list_changes(root) == []


def test_nothing_changed_makes_no_commit(root: Path) -> None:
    before = run_git(root, "rev-parse", "HEAD")
    assert commit_paths(root, ["a"], "nothing") == before


def test_commit_needs_no_identity_and_no_hook(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root / "nowhere"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    hook = root / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
    hook.chmod(0o755)
    write(root, "a", content="second")
    commit_paths(root, ["a"], "second")
    assert run_git(root, "log", "-1", "--format=%an <%ae> %cn <%ce>") == "amun <amun@localhost> amun <amun@localhost>"


def test_detached_head_is_refused(root: Path) -> None:
    run_git(root, "checkout", "--quiet", "--detach")
    with pytest.raises(InputError, match="HEAD is detached"):
        require_branch(root)
    write(root, "a", content="second")
    with pytest.raises(InputError, match="HEAD is detached"):
        commit_paths(root, ["a"], "lost")


def test_only_allowed_changes_are_clean(root: Path) -> None:
    write(root, "a", "folder/c", "with space", content="second")
    run_git(root, "add", "--all")
    require_clean(root, ["a", "folder/", "with space"])
    with pytest.raises(InputError, match="folder/c, with space; commit"):
        require_clean(root, ["a"])


def test_new_file_matters_only_where_a_wave_reads(root: Path) -> None:
    write(root, "notes.txt", "init.log", "dvc_plots/index.html", "customs", "wave/left", content="mine")
    require_clean(root, ["wave/"], ["custom", "wave", "single"])
    write(root, "custom/new", "single", content="mine")
    with pytest.raises(InputError, match=r"uncommitted changes in custom/new, single; commit"):
        require_clean(root, ["wave/"], ["custom", "wave", "single"])


def test_many_changes_are_counted(root: Path) -> None:
    write(root, *(f"folder/{number}" for number in range(8)))
    with pytest.raises(InputError, match="folder/4 and 3 more"):
        require_clean(root, [], ["folder"])


def test_restoring_undoes_and_removes(root: Path) -> None:
    write(root, "a", "folder/b", "folder/new", "kept", content="second")
    run_git(root, "add", "--", "a", "folder/new")
    restore_paths(root, ["a", "folder/b", "folder/new", "never there"])
    assert list_changes(root) == ["kept"]
    assert (root / "a").read_text(encoding="utf-8") == (root / "folder/b").read_text(encoding="utf-8") == "first"


def test_going_back_to_a_commit_is_a_commit_and_removes_what_came_since(root: Path) -> None:
    first = run_git(root, "rev-parse", "HEAD")
    write(root, "a", "folder/new", "kept", content="second")
    commit_paths(root, ["a", "folder/new", "kept"], "second")
    restore_from(root, first, ["a", "folder/b", "folder/new", "never there"])
    commit_paths(root, ["a", "folder/b", "folder/new", "never there"], "back")
    assert list_changes(root) == []
    assert run_git(root, "log", "--format=%s").splitlines() == ["back", "second", "first"]
    assert run_git(root, "ls-files").splitlines() == ["a", "folder/b", "kept"]
    assert (root / "a").read_text(encoding="utf-8") == "first"
    # killed after it: made again it changes nothing
    restore_from(root, first, ["a", "folder/b", "folder/new", "never there"])
    assert list_changes(root) == []


def test_two_clones_make_the_same_tag(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    run_git(other, "clone", "--quiet", str(root), ".")
    commit = run_git(root, "rev-parse", "HEAD")
    tagged = set()
    for clone in (root, other):
        time.sleep(1.1)  # git's clock counts seconds
        tag_commit(clone, "wave/0001", commit, "wave 1")
        tagged.add(run_git(clone, "rev-parse", "wave/0001"))
    assert len(tagged) == 1


def test_tag_stays_where_it_is(root: Path) -> None:
    first = run_git(root, "rev-parse", "HEAD")
    tag_commit(root, "wave/0001", first, "wave 1")
    tag_commit(root, "wave/0001", first, "wave 1")
    write(root, "a", content="second")
    second = commit_paths(root, ["a"], "second")
    with pytest.raises(AmunError, match=f"wave/0001 is on {first[:12]}"):
        tag_commit(root, "wave/0001", second, "wave 1")
    assert run_git(root, "rev-list", "-n", "1", "wave/0001") == first


def test_committed_content_is_not_the_work_tree(root: Path) -> None:
    write(root, "a", content="second")
    assert read_committed(root, Path("a")) == read_committed(root, Path("folder/b")) == "first"
    assert read_committed(root, Path("nowhere")) is read_committed(root, Path("folder/nowhere")) is None


def test_root_is_found_from_inside(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert find_root(root / "folder") == root
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for path in (elsewhere, elsewhere / "nowhere"):
        with pytest.raises(InputError, match="no git repository"):
            find_root(path)


def test_work_tree_of_another_user_is_told_in_our_words(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # git's own switch for its own tests
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(InputError, match=r"belongs to .* safe\.directory") as error:
        find_root(root)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["params.yaml", "dvc.yaml", "amun/params.py", "Makefile", "anything/else"])
def test_no_machine_changes_the_ends_of_lines(path: str) -> None:
    assert run_git(ROOT, "check-attr", "text", "--", path) == f"{path}: text: unset"


def test_commit_is_here_or_not_and_an_ancestor_or_not(root: Path) -> None:
    first = run_git(root, "rev-parse", "HEAD")
    run_git(root, "switch", "--quiet", "--create", "side")
    write(root, "a", content="second")
    second = commit_paths(root, ["a"], "second")
    run_git(root, "switch", "--quiet", "main")
    for commit, is_here, is_before in ((first, True, True), (second, True, False), (UNKNOWN, False, False)):
        assert (has_commit(root, commit), is_ancestor(root, commit)) == (is_here, is_before)


def test_file_is_kept_unless_ignored_or_elsewhere(root: Path) -> None:
    write(root, ".gitignore", content="/private\n")
    assert is_kept(root, root / "a")
    assert not is_kept(root, root / "private")
    assert not is_kept(root, root.parent / "a")


UNKNOWN = "1" * 40
QUESTIONS: dict[str, Callable[[Path], object]] = {
    "read": lambda root: read_committed(root, Path("a")),
    "read what is not there": lambda root: read_committed(root, Path("nowhere")),
    "here": lambda root: has_commit(root, "main"),
    "ancestor": lambda root: is_ancestor(root, "main"),
    "kept": lambda root: is_kept(root, root / "a"),
    "root": find_root,
}


def locate_object(root: Path, name: str) -> Path:
    digest = run_git(root, "rev-parse", name)
    return root / ".git/objects" / digest[:2] / digest[2:]


def damage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"not what git wrote")


@pytest.mark.parametrize(
    ("harm", "question", "name"),
    [
        *((harm, "read", name) for harm in (damage, Path.unlink) for name in ("HEAD:a", "HEAD^{tree}", "HEAD")),
        *((harm, "read what is not there", name) for harm in (damage, Path.unlink) for name in ("HEAD^{tree}", "HEAD")),
        # one that is lost is not here
        *((damage, question, "HEAD") for question in ("here", "ancestor")),
    ],
)
def test_damaged_or_lost_object_is_an_error_and_no_answer(
    harm: Callable[[Path], None], question: str, name: str, root: Path
) -> None:
    assert QUESTIONS[question](root) in (None, True, "first")
    harm(locate_object(root, name))
    with pytest.raises(AmunError, match=f"{root}"):
        QUESTIONS[question](root)


def test_history_that_cannot_be_read_is_an_error(root: Path) -> None:
    first = run_git(root, "rev-parse", "HEAD")
    for content in ("second", "third"):
        write(root, "a", content=content)
        commit_paths(root, ["a"], content)
    damage(locate_object(root, "HEAD~1"))
    with pytest.raises(AmunError, match="merge-base failed"):
        is_ancestor(root, first)


def test_file_of_a_commit_that_is_not_here_is_not_absent(root: Path) -> None:
    for revision in (UNKNOWN, "HEAD~1"):
        with pytest.raises(AmunError, match=f"a at {revision} cannot be read"):
            read_committed(root, Path("a"), revision)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("ending", ["kill -9 $$", "exit 128", "exit 127"])
def test_git_that_fails_has_answered_nothing(
    ending: str, question: str, root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    (folder / "git").write_text(f"#!/bin/sh\n{ending}\n", encoding="ascii")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    with pytest.raises(AmunError) as error:
        QUESTIONS[question](root)
    assert not isinstance(error.value, InputError)
    monkeypatch.setenv("PATH", str(root))
    with pytest.raises(AmunError, match="git is not installed"):
        QUESTIONS[question](root)


def test_much_that_lies_loose_is_packed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tag_commit(root, "wave/0001", run_git(root, "rev-parse", "HEAD"), "first")
    assert not pack_objects(root)
    monkeypatch.setattr(git, "MAX_LOOSE_KIB", 0)
    assert pack_objects(root)
    assert run_git(root, "count-objects").startswith("0 objects")
    assert (read_committed(root, Path("folder/b"), "wave/0001"), list_changes(root)) == ("first", [])
    assert not pack_objects(root)
