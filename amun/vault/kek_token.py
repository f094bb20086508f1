"""The key-encryption key (KEK) of a key that never leaves a PKCS#11 token: a hardware security module, or SoftHSM.

The token computes one HMAC-SHA256 under its key, and that is the KEK: a key derived by a pseudorandom function, as in
NIST SP 800-108. So the KEK lies nowhere. Where the token's key is destroyed it is gone, and with it all that lay under
it. Whoever shares key store and token has the same one. While it is changed two keys are in the token.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amun.core.errors import AmunError, InputError, join_lines
from amun.core.files import require_mode
from amun.core.locks import hold_lock
from amun.vault.kek import KEK_VARIABLE, KEY_BYTES, fingerprint_kek
from amun.vault.token_address import SCHEME, TokenAddress

if TYPE_CHECKING:
    from pkcs11 import Session
    from pkcs11.types import Object

_MESSAGE = b"amun: the key-encryption key, 1"
_PIN_MODE = 0o600
_LOCKS = Path("/tmp")  # noqa: S108 - a name that every user of the machine shares


class KekToken:
    """Where the KEK's key lies, and its successor beside it while it is changed."""

    def __init__(self, address: TokenAddress) -> None:
        _require_package()
        self.name = f"{SCHEME}token={address.token};object={address.object}"
        self._address = address
        known_by = f"{address.module} {address.token}"
        self._lock = _LOCKS / f"amun-token-{hashlib.blake2b(known_by.encode(), digest_size=8).hexdigest()}.lock"
        self._label, self._next_label = address.object, f"{address.object}.next"
        # one operation of the token for each vault that is opened, not for each key in it
        self._found: dict[str, bytes] = {}

    def draw_first(self) -> bytes:
        """Returns the first KEK of a key store that is to be made; it takes its place by `succeed`.

        Raises:
            InputError: there is a key already: another key store lies under it, and rotating that would destroy it; or
                the token cannot be used.
            AmunError: the token refuses.
        """
        self.require_none()
        return self.draw_successor()

    def require_none(self) -> None:
        """Refuses a key that is there before its key store is; raises as `draw_first`."""
        with self._open() as session:
            if _list_keys(session, self._label):
                raise InputError(
                    f"{KEK_VARIABLE}: there is a key-encryption key {self.name} already, and no key store of it here: "
                    "a key store has a key-encryption key of its own; bring that store back, or name an object that is "
                    "not there yet"
                )

    def draw_successor(self) -> bytes:
        """Returns the KEK that is to follow, its key made where there is none yet."""
        with self._open(writes=True) as session:
            keys = _list_keys(session, self._next_label)
            return _make_kek(keys[0] if keys else _generate(session, self._next_label))

    def find(self, fingerprint: str) -> bytes:
        """Returns the KEK of this fingerprint, which may be the successor already.

        Raises:
            InputError: the token has no key of it, or cannot be used.
            AmunError: the token refuses.
        """
        if fingerprint not in self._found:
            with self._open() as session:
                # the successor first: while it takes the place of the KEK, there is one or the other
                labels = self._next_label, self._label
                keys = [key for label in labels for key in _list_keys(session, label)]
                self._found = {fingerprint_kek(kek): kek for kek in map(_make_kek, keys)}
        if fingerprint not in self._found:
            present = f"is the key-encryption key {' or '.join(self._found)}" if self._found else "is not in the token"
            raise InputError(
                f"{KEK_VARIABLE}: {self.name} {present}, and the subjects' keys lie under {fingerprint}: name the "
                "token in which `amun keys rotate` ran last; what it has lost comes back from its own backup alone"
            )
        return self._found[fingerprint]

    def end_succession(self, fingerprint: str) -> None:
        """Puts the successor into the KEK's place where the keys lie under it already: a killed call got so far."""
        with self._open() as session:
            is_due = any(
                fingerprint_kek(_make_kek(key)) == fingerprint for key in _list_keys(session, self._next_label)
            )
        if is_due:
            self.succeed()

    def succeed(self) -> None:
        """Destroys the KEK's key and puts its successor into its place; said again it changes nothing."""
        self._found = {}
        with self._open(writes=True) as session:
            from pkcs11 import Attribute

            successors = _list_keys(session, self._next_label)
            for key in _list_keys(session, self._label) if successors else ():
                key.destroy()
            for key in successors:
                key[Attribute.LABEL] = self._label

    def destroy(self) -> None:
        """Destroys the KEK's key and its successor; said again it changes nothing."""
        self._found = {}
        with self._open(writes=True) as session:
            for label in (self._label, self._next_label):
                for key in _list_keys(session, label):
                    key.destroy()

    def is_destroyed(self) -> bool:
        """Tells whether the token has neither key."""
        with self._open() as session:
            return not any(_list_keys(session, label) for label in (self._label, self._next_label))

    def is_changing(self) -> bool:
        """Tells whether there is a successor."""
        with self._open() as session:
            return bool(_list_keys(session, self._next_label))

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Sees that the token can be written to; what lets one process at a time change it is the key store's lock."""
        with self._open(writes=True):
            pass
        yield

    @contextmanager
    def _open(self, *, writes: bool = False) -> "Iterator[Session]":
        """Gives a session in which the token's user is logged in, one at a time on this machine.

        A process is logged in or not, whatever its sessions are. And while one logs in, SoftHSM tells others that there
        is no such token. The module is at rest again afterwards: a copy of this process does not find it in use.
        """
        pin = _read_pin(self._address.pin_path)
        with hold_lock(self._lock, 0o666, is_told=False), self._translate_errors():
            library = _load(self._address.module)
            try:
                serial = self._address.serial.encode() or None
                token = library.get_token(token_label=self._address.token, token_serial=serial)
                with token.open(rw=writes, user_pin=pin) as session:
                    yield session
            finally:
                library.finalize()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Says in one line what the token says, and what to do."""
        import pkcs11

        token, pin_path = f"{KEK_VARIABLE}: the token {self._address.token!r}", self._address.pin_path
        try:
            yield
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
            raise InputError(f"{token} refuses the PIN in {pin_path}; it is locked after some wrong ones") from None
        except pkcs11.PinLocked:
            raise InputError(f"{token} is locked after wrong PINs; its security officer gives it a new one") from None
        except pkcs11.MultipleTokensReturned:
            raise InputError(f"{token} is one of several of this label; add ;serial=... of the one you mean") from None
        except (pkcs11.NoSuchToken, pkcs11.TokenNotPresent, pkcs11.TokenNotRecognised):
            module = self._address.module
            raise InputError(f"{token} is not there; `pkcs11-tool --module {module} -L` lists those that are") from None
        except pkcs11.PKCS11Error as error:
            said = " ".join([type(error).__name__, join_lines(error)]).strip()
            raise AmunError(f"{token} does not answer or refuses: {said}") from None


def _require_package() -> None:
    """Refuses a token where nothing can speak to it.

    Raises:
        InputError: names the package.
    """
    try:
        import pkcs11  # noqa: F401
    except ImportError:
        raise InputError(
            f"{KEK_VARIABLE}: a token takes the package python-pkcs11; type "
            "`pip install --constraint constraints.txt '.[pkcs11]'`"
        ) from None


def _load(module: Path) -> Any:
    import pkcs11

    try:
        return pkcs11.lib(str(module))
    except pkcs11.PKCS11Error as error:
        raise InputError(f"{KEK_VARIABLE}: the module {module} cannot be loaded: {join_lines(error)}") from None


def _list_keys(session: "Session", label: str) -> "list[Object]":
    from pkcs11 import Attribute, ObjectClass

    return list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: label}))


def _generate(session: "Session", label: str) -> "Object":
    """Makes a key that no one can take out of the token.

    Raises:
        AmunError: the token makes none such.
    """
    from pkcs11 import Attribute, KeyType, MechanismFlag

    key = session.generate_key(
        KeyType.GENERIC_SECRET,
        8 * KEY_BYTES,
        label=label,
        store=True,
        capabilities=MechanismFlag.SIGN,
        template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.MODIFIABLE: True},
    )
    if not key[Attribute.NEVER_EXTRACTABLE] or not key[Attribute.ALWAYS_SENSITIVE]:
        key.destroy()
        raise AmunError(f"{KEK_VARIABLE}: the token has made a key that can be taken out of it, and it was destroyed")
    return key


def _make_kek(key: Any) -> bytes:
    from pkcs11 import Mechanism

    kek: bytes = key.sign(_MESSAGE, mechanism=Mechanism.SHA256_HMAC)
    return kek


def _read_pin(path: Path) -> str:
    """Returns the PIN in a file.

    Raises:
        InputError: it cannot be read, others may read it, or it is empty.
    """
    try:
        require_mode(KEK_VARIABLE, path, _PIN_MODE)
        pin = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{KEK_VARIABLE}: the PIN in {path} cannot be read: {reason}") from None
    if not pin:
        raise InputError(f"{KEK_VARIABLE}: there is no PIN in {path}")
    return pin
