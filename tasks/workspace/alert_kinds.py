"""What there is to tell of: the kinds of alerts, each with what to do; docs/operations.md has a section for each."""

from collections.abc import Mapping

PAGE = "docs/operations.md"

# the object of an alert stands where {object} is
ADVICE: Mapping[str, str] = {
    "request-near": "`amun status` shows what waits; `amun wave run` runs a wave now",
    "request-overdue": "`amun status` shows what is late, `amun check` what stops the nights; then `amun wave run`",
    "request-unmatched": "`amun request list --state unmatched`; `amun request show` says who may be meant",
    "wave-parked": "`amun wave show {object}` has the reasons; change `unlearning.attempts`, `gate`, or what it names",
    "wave-refused": "nothing, unless it is so each night; `amun wave show {object}` has the figures",
    "wave-insufficient": "nothing, unless it is so each night; `amun wave show {object}` says what was done",
    "wave-late": "`amun status` says who holds wave {object}; once nobody does, `amun wave run` goes on with it",
    "report-contradicts": "look at both halves in `amun wave show {object}`",
    "earlier-remembered": "look at `amun wave show {object}`; the model that serves is not that one",
    "file-rejected": "mend the file in rejected/{object}/ of the intake source by its reasons, and put it in again",
    "file-unmatched": "`amun request list --state unmatched`; `amun request show` says who may be meant",
    "consumer-behind": "load the champion there and type `amun consumer seen`, or `amun consumer remove`",
    "erasure-failed": "`amun erase run` goes on with it, and says what stops it",
    "copy-damaged": "have a look at the disk; `amun doctor` names each copy that is damaged still",
    "night-failed": "`amun check` and `amun doctor` say what is wrong, and so does the log of the night",
    "night-missing": "look whether `amun serve` or your worker runs; `amun wave run` makes up for the nights",
}


def advise(kind: str, name: str) -> str:
    """Returns what to do about an alert of a kind and an object; of another release's kind the page alone tells."""
    return ADVICE.get(kind, f"see {locate(kind)}").replace("{object}", name)


def locate(kind: str) -> str:
    """Returns where the page of operations tells more of a kind."""
    return f"{PAGE}#{kind}"
