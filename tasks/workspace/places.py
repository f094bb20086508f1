"""Where copies may lie: every place that this software writes to, its remotes and databases, and temporary folders."""

import io
import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from amun.core.masking import mask_passwords
from amun.core.paths import MIRRORS, STATE, is_bucket
from amun.vault.database import KEYS_VARIABLE, SQLITE
from tasks.tools import dvc
from tasks.tools.addresses import find_addresses
from tasks.tools.environment import LEDGER_VARIABLE, MLFLOW_VARIABLE
from tasks.tools.git_objects import find_repository, list_objects, open_object
from tasks.tools.postgres_tables import list_tables, open_table
from tasks.tools.s3 import Location, is_location, open_client, parse_location
from tasks.tools.s3_versions import count_unfinished, list_versions, open_version
from tasks.tools.tree import list_tree
from tasks.workspace.workspace import Workspace

WORK_TREE, GIT, SOURCE, TEMPORARY = "work tree", "git's own files", "source of the data", "temporary files"
_OTHERS_TOO = (WORK_TREE, GIT, SOURCE, TEMPORARY)  # folders to which others write, too
_SIDE_FILES = ("", "-wal", "-journal", "-shm")  # of a database that is a file


@dataclass(frozen=True)
class Content:
    """Something that is read from its beginning to its end.

    Attributes:
        name: as a person finds it.
        open_content: opens it, anew each time.
    """

    name: str
    open_content: Callable[[], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True)
class Place:
    """Somewhere that copies may lie.

    Attributes:
        name: in a few words.
        is_own: on this machine, and nothing but this software writes there.
        list_contents: yields all that lies there, and adds a line to the list for each part that cannot be listed;
            raises AmunError where nothing can.
    """

    name: str
    is_own: bool
    list_contents: Callable[[list[str]], Iterator[Content]]


def list_places(workspace: Workspace) -> list[Place]:
    """Returns every place once.

    Raises:
        AmunError: DVC's settings cannot be read.
    """
    root = workspace.root
    folders, others = _gather(workspace)
    whole = _drop_repeated({name: path.resolve() for name, path in folders.items()})
    inner = frozenset(whole.values())
    places = [
        Place(name, name not in _OTHERS_TOO, partial(_list_folder, path, inner - {path}, name == TEMPORARY))
        for name, path in whole.items()
    ]
    return [*places, Place("git objects", False, partial(_list_git, root)), *others]


def _gather(workspace: Workspace) -> tuple[dict[str, Path], list[Place]]:
    """Returns the folders and files of this machine by what they are, and the places that are neither."""
    root, source = workspace.root, workspace.params.data.root
    folders = {WORK_TREE: root, ".amun": root / STATE, GIT: find_repository(root)}
    others: list[Place] = []
    if source is not None:
        folders[SOURCE] = root / (MIRRORS if is_bucket(source) else source)
        if root not in folders[SOURCE].resolve().parents:
            del folders[SOURCE]  # not the workspace's own
    with dvc.open_repo(root) as repo:
        folders["DVC cache"] = cache = Path(repo.cache.local.path)
        remotes = {name: str(remote["url"]) for name, remote in repo.config["remote"].items()}
    if not cache.is_dir():
        others.append(
            Place("DVC cache", True, partial(_refuse, f"{cache} is not there; mount it, or change `cache.dir`"))
        )
    addresses = {f"DVC remote {name}": url for name, url in remotes.items()} | _list_artifacts()
    for name, address in addresses.items():
        _sort_address(root, name, address, folders, others)
    for name, variable in (("ledger", LEDGER_VARIABLE), ("key store", KEYS_VARIABLE), ("MLflow", MLFLOW_VARIABLE)):
        _sort_database(root, f"database of {name}", os.environ[variable], folders, others)
    folders["Prefect's home"] = Path(os.environ["PREFECT_HOME"])
    folders["DVC's site cache"] = Path(os.environ["DVC_SITE_CACHE_DIR"])
    folders[TEMPORARY] = Path(os.environ.get("TMPDIR") or tempfile.gettempdir())
    return folders, others


def _sort_address(root: Path, name: str, address: str, folders: dict[str, Path], others: list[Place]) -> None:
    """Adds the place that an address of files names."""
    scheme = urlsplit(address).scheme
    if is_location(address):
        others.append(Place(name, False, partial(_list_bucket, parse_location(address))))
    elif scheme in ("", "file"):
        folders[name] = root / (unquote(urlsplit(address).path) if scheme else address)
        if not folders[name].is_dir():
            others.append(Place(name, True, partial(_refuse, f"{folders[name]} is not there; mount it, or unset it")))
    else:
        reason = f"{mask_passwords(address)}: nothing here reads such an address; look through it by other means"
        others.append(Place(name, False, partial(_refuse, reason)))


def _sort_database(root: Path, name: str, url: str, folders: dict[str, Path], others: list[Place]) -> None:
    """Adds the files of a SQLite database, or the tables of one on Postgres."""
    if url.startswith(SQLITE):
        path = Path(url.removeprefix(SQLITE)).resolve()
        folders |= {f"{name}{ending}": path.with_name(path.name + ending) for ending in _SIDE_FILES}
    elif url.startswith("postgresql"):
        others.append(Place(name, False, partial(_list_database, url)))
    elif (served := find_addresses(root)) is None or served.mlflow != url:
        reason = f"{mask_passwords(url)}: a server shows its database to nobody; name the database in {MLFLOW_VARIABLE}"
        others.append(Place(name, False, partial(_refuse, reason)))


def _list_artifacts() -> dict[str, str]:
    """Returns where MLflow's experiments keep their files, each address once.

    Raises:
        AmunError: the registry does not answer.
    """
    # only here: MLflow takes a second to import
    from tasks.tools.registry_files import list_artifact_roots

    return {f"MLflow's files of {name}": address for name, address in list_artifact_roots().items()}


def _drop_repeated(folders: dict[str, Path]) -> dict[str, Path]:
    """Returns the places that are there, each path once, and no file that lies in one of the folders."""
    present: dict[Path, str] = {}
    for name, path in folders.items():
        if path.exists():
            present.setdefault(path, name)
    return {
        name: path
        for path, name in present.items()
        # what others write to is not looked through at each erasure: a database in there is a place of its own
        if path.is_dir() or not any(present.get(parent, WORK_TREE) not in _OTHERS_TOO for parent in path.parents)
    }


def _list_folder(root: Path, without: Collection[Path], is_shared: bool, problems: list[str]) -> Iterator[Content]:
    for path in list_tree(root, without, problems, is_shared=is_shared):
        yield Content(str(path), partial(_open_file, path))


def _open_file(path: Path) -> AbstractContextManager[IO[bytes]]:
    return path.open("rb")


def _list_git(root: Path, _problems: list[str]) -> Iterator[Content]:
    for found in list_objects(root):
        held = partial(io.BytesIO, found.content) if found.content is not None else partial(open_object, root, found)
        yield Content(f"git object {found.name}", held)


def _list_bucket(location: Location, problems: list[str]) -> Iterator[Content]:
    client = open_client()
    for version in list_versions(client, location):
        name = f"s3://{version.bucket}/{version.key}, version {version.version_id}"
        yield Content(name, partial(open_version, client, version))
    if num_unfinished := count_unfinished(client, location):
        problems.append(f"{location}: {num_unfinished} unfinished uploads, which nobody can read: abort them")


def _list_database(url: str, _problems: list[str]) -> Iterator[Content]:
    for table in list_tables(url):
        yield Content(f"table {table}", partial(open_table, url, table))


def _refuse(reason: str, problems: list[str]) -> Iterator[Content]:
    problems.append(reason)
    return iter(())
