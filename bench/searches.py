"""The contestants: every search of ours, and those of foolbox, torchattacks and adv-lib, where these are installed."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from amun.core.params import AdversarialParams
from amun.search.catalogue import SEARCHES, search_together

# from model, images (N, C, H, W) and labels (N,) to adversarial images (N, C, H, W), all samples at once
Find = Callable[[nn.Module, Tensor, Tensor], Tensor]

ALGORITHM_1 = "amun pgd_doubling (Algorithm 1)"
FAST = "amun adaptive_boundary"
THOROUGH = "amun adaptive_boundary, thorough"
THOROUGH_CHANGES = {"num_targets": 9, "num_steps": 9, "max_distance_ratio": 2.0, "pull_decay": 0.85}


def list_contestants(params: AdversarialParams, batch_size: int) -> dict[str, Find]:
    """Returns the searches by name; peers get the samples in batches of `batch_size`, ours keep them full."""
    names = {"pgd_doubling": ALGORITHM_1}
    ours = {
        names.get(search, f"amun {search}"): params.model_copy(update={"search": search, "batch_size": batch_size})
        for search in SEARCHES
    }
    changed = params.get_block("adaptive_boundary").model_copy(update=THOROUGH_CHANGES)
    ours[THOROUGH] = ours[FAST].model_copy(update={"adaptive_boundary": changed})
    shorter = changed.model_copy(update={"num_steps": 6})
    ours[f"{THOROUGH}, 6 steps"] = ours[FAST].model_copy(update={"adaptive_boundary": shorter})
    patient = params.get_block("ddn").model_copy(update={"num_steps": 80})
    ours["amun ddn, 80 steps"] = ours["amun ddn"].model_copy(update={"ddn": patient})
    peers = [*_list_foolbox(), *_list_torchattacks(), *_list_adv_lib()]
    return {name: _search_with(changes) for name, changes in ours.items()} | {
        name: _in_batches(find, batch_size) for name, find in peers
    }


def _search_with(params: AdversarialParams) -> Find:
    return lambda model, images, labels: search_together(model, images, labels, params, str).images


def _in_batches(find: Find, batch_size: int) -> Find:
    def find_all(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        batches = zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
        return torch.cat([find(model, *batch).detach() for batch in batches])

    return find_all


def _list_foolbox() -> Iterator[tuple[str, Find]]:
    if not find_spec("foolbox"):
        return
    import foolbox

    def attack_with(attack: Any) -> Find:
        def find(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
            adversarial: Tensor = attack.run(wrapped, images, labels)
            return adversarial

        return find

    yield "foolbox L2DeepFoolAttack", attack_with(foolbox.attacks.L2DeepFoolAttack())
    yield "foolbox L2FMNAttack, 20 steps", attack_with(foolbox.attacks.L2FMNAttack(steps=20))
    yield "foolbox L2FMNAttack", attack_with(foolbox.attacks.L2FMNAttack())
    yield "foolbox DDNAttack, 20 steps", attack_with(foolbox.attacks.DDNAttack(steps=20))
    yield "foolbox DDNAttack", attack_with(foolbox.attacks.DDNAttack())


def _list_torchattacks() -> Iterator[tuple[str, Find]]:
    if not find_spec("torchattacks"):
        return
    import torchattacks

    yield "torchattacks DeepFool", lambda model, images, labels: torchattacks.DeepFool(model)(images, labels)
    yield "torchattacks CW", lambda model, images, labels: torchattacks.CW(model)(images, labels)


def _list_adv_lib() -> Iterator[tuple[str, Find]]:
    if not find_spec("adv_lib"):
        return
    from adv_lib import attacks

    yield "adv-lib fmn, 20 steps", lambda model, *batch: attacks.fmn(model, *batch, norm=2, steps=20)
    yield "adv-lib fmn, 100 steps", lambda model, *batch: attacks.fmn(model, *batch, norm=2, steps=100)
    yield "adv-lib ddn, 20 steps", lambda model, *batch: attacks.ddn(model, *batch, steps=20, levels=None)
    yield "adv-lib ddn, 100 steps", lambda model, *batch: attacks.ddn(model, *batch, levels=None)
    yield "adv-lib df", attacks.df
    yield "adv-lib sdf", attacks.sdf
    yield "adv-lib fab, 10 steps", lambda model, *batch: attacks.fab(model, *batch, norm=2, n_iter=10)
