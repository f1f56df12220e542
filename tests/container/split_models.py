"""Split models of tiny tensors."""

from pathlib import Path

from tests import builders as b


def split_pairs(number: int, count: int, tensors: int) -> list[tuple[str, int, int]]:
    return [
        ("split.no", b.U16, number),
        ("split.count", b.U16, count),
        ("split.tensors.count", b.I32, tensors),
    ]


def tensor(index: int) -> b.Tensor:
    return b.Tensor(f"t{index}", (2,), 0, b.floats(index, -index))


def model(
    folder: Path, count: int = 3, *, alignment: int = 32, others: int | None = None, stem: str = "model"
) -> list[Path]:
    """A split model of one tensor a shard; metadata and alignment stand in the first."""
    paths = []
    for number in range(count):
        pairs: list[object] = list(split_pairs(number, count, count))
        used = alignment
        if number == 0:
            pairs = [b.ARCHITECTURE, *pairs, ("general.alignment", b.U32, alignment)]
        elif others is not None:
            used = others
        path = folder / f"{stem}-{number + 1:05}-of-{count:05}.gguf"
        path.write_bytes(b.build(pairs, [tensor(number)], alignment=used))
        paths.append(path)
    return paths
