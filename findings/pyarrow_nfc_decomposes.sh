#!/usr/bin/env bash
# pyarrow's utf8_normalize gives the decomposed text for the two composed forms, NFC and NFKC.
# Seen here: even text that is in NFC already comes out as NFD, so a name normalized by Arrow
# differs from the same name normalized by Python. NFC = NFD and NFKC = NFKD for every code point.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check pyarrow==25.0.1

"$work/venv/bin/python" - <<'PYTHON'
import sys
import unicodedata

import pyarrow as pa
import pyarrow.compute as pc

FORMS = ("NFC", "NFD", "NFKC", "NFKD")
TEXTS = {
    "e + accent": "e\u0301",
    "e with accent": "\u00e9",
    "Hangul letters": "\u1112\u1161\u11ab",
    "Hangul syllable": "\ud55c",
    "Ohm sign": "\u2126",  # one letter in all four forms: right by chance
    "fi ligature": "\ufb01",  # shows that compatibility (the K) does work
}


def normalize(texts: list[str], form: str) -> list[str]:
    return pc.utf8_normalize(pa.array(texts, pa.string()), form=form).to_pylist()


print("pyarrow", pa.__version__)
print("expected: each form as in Python's unicodedata.normalize")
print("seen:")
for name, text in TEXTS.items():
    for form in FORMS:
        expected, seen = unicodedata.normalize(form, text), normalize([text], form)[0]
        verdict = "same" if seen == expected else "DIFFERS"
        print(f"  {name:16}{form:5} expected {ascii(expected):22} seen {ascii(seen):22} {verdict}")

# Every code point but the surrogates. Compared within Arrow, so that no Unicode version matters.
every = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
forms = {form: normalize(every, form) for form in FORMS}
changed = sum(
    seen != text and unicodedata.normalize("NFC", text) == text
    for text, seen in zip(every, forms["NFC"], strict=True)
)
print(f"  all {len(every)} code points: NFC = NFD is {forms['NFC'] == forms['NFD']},", end=" ")
print(f"NFKC = NFKD is {forms['NFKC'] == forms['NFKD']}")
print(f"  {changed} of them are in NFC by Python, yet NFC by Arrow changes them")

if not (forms["NFC"] == forms["NFD"] and forms["NFKC"] == forms["NFKD"] and changed):
    sys.exit("changed: utf8_normalize no longer gives NFD for NFC and NFKD for NFKC")
PYTHON
