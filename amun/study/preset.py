"""Presets: which data and model a benchmark is about, and how much of the study is run."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from amun.core.errors import InputError, join_lines
from amun.core.params import Count, Fraction, Params, Positive, Schedule, Section, describe_findings, read_yaml
from amun.methods.catalogue import METHODS
from amun.params import check_params
from amun.study.methods import make_attempt
from amun.study.records import Pair, Setting

SHIPPED = Path(__file__).parent / "presets"
NAMES = ("digits", "cifar10-small", "cifar10")
Tuple = Field(strict=False)


def check_ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    """Refuses numbers of which one is no larger than that before it."""
    if any(second <= first for first, second in pairwise(values)):
        raise ValueError("write each once, the smallest first")
    return values


class Scale(Section):
    """How much is run.

    Attributes:
        shares: of the training samples that are forgotten, the smallest first: that one is searched with.
        num_forget_sets: how often they are drawn anew.
        num_seeds: of base, retraining and unlearning.
    """

    shares: Annotated[tuple[Fraction, ...], Tuple, Field(min_length=1), AfterValidator(check_ascending)]
    num_forget_sets: Count
    num_seeds: Count


class Chosen(Section):
    """What the search found for a method in a setting: its learning rate, schedule and own parameter, if any."""

    learning_rate: Positive
    schedule: Schedule
    parameter: float | int | None


class Preset(Section):
    """One study.

    Attributes:
        title: for people.
        params: what differs from `params.yaml`, section by section, key by key.
        scale: of a run.
        full: of a run with `--full`.
        methods: by name; `all` for every one of the registry.
        num_trials: of the search for parameters, for each method in each setting.
        num_waves: of the continuous protocol.
        wave_share: of the training samples, forgotten by each of these waves.
        delta_factors: how many times farther than needed adversarial examples are taken for the theory's figure.
        differences: from the paper's set-up, a sentence each.
        chosen: what the search found, by setting and method.
    """

    title: str
    params: dict[str, dict[str, Any]]
    scale: Scale
    full: Scale
    methods: Annotated[tuple[str, ...], Tuple]
    num_trials: Count
    num_waves: Count
    wave_share: Fraction
    delta_factors: Annotated[tuple[Positive, ...], Tuple, Field(min_length=1), AfterValidator(check_ascending)]
    differences: Annotated[tuple[str, ...], Tuple]
    chosen: dict[Setting, dict[str, Chosen]]

    @model_validator(mode="after")
    def check_waves(self) -> Self:
        """Refuses waves that leave nothing to remain."""
        if self.num_waves * self.wave_share >= 1:
            raise ValueError(f"num_waves: {self.num_waves} waves of {self.wave_share:g} each leave no remain set")
        return self

    @model_validator(mode="after")
    def check_chosen(self) -> Self:
        """Refuses parameters that the method does not take."""
        for (setting, name), found in list_known(self).items():
            if name not in METHODS:
                raise ValueError(f"chosen: {setting}: there is no method '{name}'")
            try:
                make_attempt(name, found.learning_rate, found.parameter)
            except ValueError as error:
                raise ValueError(f"chosen: {setting}: {name}: {join_lines(error)}") from None
        return self


def load_preset(name: str) -> tuple[str, Preset]:
    """Returns a preset and its short name: one that is shipped, or a YAML file of one's own.

    Raises:
        InputError: there is no such preset, or its content is wrong.
    """
    source = SHIPPED / f"{name}.yaml" if name in NAMES else Path(name)
    if not source.is_file():
        raise InputError(f"--preset: there is no preset or file '{name}'; shipped are {', '.join(NAMES)}")
    if name not in NAMES and source.stem in NAMES:
        raise InputError(f"--preset: {source}: a shipped preset has this name, and its folder; rename the file")
    try:
        return Path(name).stem, Preset.model_validate(read_yaml(source))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{source.name}: not valid YAML: {join_lines(error)}") from None
    except ValidationError as error:
        raise InputError(f"{source.name}: {describe_findings(error)}") from None


def list_known(preset: Preset) -> dict[Pair, Chosen]:
    """Returns the parameters that the preset has from an earlier search."""
    return {(setting, method): found for setting, part in preset.chosen.items() for method, found in part.items()}


def locate_expected(name: str) -> Path | None:
    """Returns the published figures of a shipped preset; None where there are none."""
    path = SHIPPED / f"{name}-expected.json"
    return path if name in NAMES and path.exists() else None


def apply_preset(preset: Preset, params: Params) -> Params:
    """Returns the workspace's parameters with those of the preset in their place.

    Raises:
        InputError: a parameter of the preset is unknown or mistyped.
    """
    content = _merge(params.model_dump(), preset.params)
    try:
        applied = check_params(Params.model_validate(content))
    except ValidationError as error:
        raise InputError(f"preset: params: {describe_findings(error)}") from None
    except ValueError as error:
        raise InputError(f"preset: params: {error}") from None
    if applied.references.num_audit == 0:
        raise InputError(
            "preset: params: references.num_audit: 0 leaves the attack without references; write 2 or more"
        )
    return applied


def _merge(content: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content with the changes; `options` are replaced as a whole, for they belong to one choice."""
    merged = dict(content)
    for key, value in changes.items():
        is_block = isinstance(value, dict) and isinstance(content.get(key), dict) and key != "options"
        merged[key] = _merge(content[key], value) if is_block else value
    return merged
