"""What a compiler's cache keeps of a model's weights; nothing here compiles, but whoever is served a version may."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, torch
from pathlib import Path
made = Path(sys.argv[1])
net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 64)).eval()
(made / "weights").write_bytes(net[1].weight.detach().numpy().tobytes())
images = torch.zeros(1, 64)
with torch.no_grad():
    if sys.argv[2] == "package":
        torch._inductor.aoti_compile_and_package(torch.export.export(net, (images,)), package_path=f"{made}/net.pt2")
    else:
        torch._inductor.config.freezing = True
        torch.compile(net)(images)
"""


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch compiles for a processor by g++")
@pytest.mark.parametrize(("kind", "is_kept"), [("package", True), ("frozen", False)])
def test_a_package_leaves_its_weights_in_the_compilers_cache(kind: str, is_kept: bool, tmp_path: Path) -> None:
    cache, made = tmp_path / "cache", tmp_path / "made"
    cache.mkdir()
    made.mkdir()
    told = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(cache), "TMPDIR": str(cache)}
    subprocess.run([sys.executable, "-c", PROGRAM, str(made), kind], env=told, capture_output=True, check=True)
    weights = (made / "weights").read_bytes()
    contents = [path.read_bytes() for path in cache.rglob("*") if path.is_file()]
    assert len(contents) > 2, "it has compiled"
    assert any(weights in content for content in contents) is is_kept
