"""The few parts of SVG that the report's pictures are made of. Colours and fonts are the page's, by classes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10, sqrt
from xml.sax.saxutils import escape, quoteattr

from markupsafe import Markup

WIDE, NARROW = 720, 336  # pixels: a page and a telephone


@dataclass(frozen=True)
class Axis:
    """Where values lie: from `low` at pixel `start` to `high` at pixel `end`, values outside at the nearer end."""

    low: float
    high: float
    start: float
    end: float
    transform: Callable[[float], float] = float

    def place(self, value: float) -> float:
        """Returns the pixel of a value."""
        low, high = self.transform(self.low), self.transform(self.high)
        share = (self.transform(min(max(value, self.low), self.high)) - low) / (high - low)
        return self.start + share * (self.end - self.start)


def log_axis(low: float, high: float, start: float, end: float) -> Axis:
    """Returns an axis on which each factor of ten is as long as the next."""
    return Axis(low, high, start, end, log10)


def root_axis(low: float, high: float, start: float, end: float) -> Axis:
    """Returns an axis of square roots, which shows one per cent beside a hundred, and nothing as nothing."""
    return Axis(low, high, start, end, sqrt)


def list_ticks(low: float, high: float, num_steps: int) -> list[float]:
    """Returns round values from `low` to `high`, about so many steps apart."""
    rough = (high - low) / num_steps
    size = 10.0 ** floor(log10(rough))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough * (1 - 1e-9))
    first = ceil(low / step - 1e-9)
    return [number * step for number in range(first, floor(high / step + 1e-9) + 1)]


@dataclass
class Drawing:
    """A picture in the making.

    Attributes:
        name: its own on the page.
        width: in pixels, `WIDE` or `NARROW`; likewise its height.
        title: what it shows, in one line.
        description: what one sees there, for whoever does not.
    """

    name: str
    width: int
    height: float
    title: str
    description: str
    _parts: list[str] = field(default_factory=list)

    def add(self, tag: str, text: str = "", **attributes: float | str) -> None:
        """Adds an element; `class_` stands for `class`, an underscore for a hyphen, pixels have one decimal."""
        told = "".join(
            f" {name.rstrip('_').replace('_', '-')}={quoteattr(_tell(value))}" for name, value in attributes.items()
        )
        self._parts.append(f"<{tag}{told}>{escape(text)}</{tag}>" if text else f"<{tag}{told}/>")

    def line(self, x1: float, y1: float, x2: float, y2: float, class_: str) -> None:
        """Adds a straight line."""
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)

    def text(self, x: float, y: float, text: str, class_: str = "", anchor: str = "start") -> None:
        """Adds words, `y` at their foot."""
        self.add("text", text, x=x, y=y, text_anchor=anchor, class_=class_)

    def path(self, points: Iterable[tuple[float, float]], class_: str) -> None:
        """Adds a line through points."""
        told = "L".join(f"{_tell(x)} {_tell(y)}" for x, y in points)
        self.add("path", d=f"M{told}", class_=class_)

    def mark(self, shape: str, x: float, y: float, size: float, class_: str) -> None:
        """Adds a mark around a point: `disc`, `square`, `diamond`, `cross` or `bar`."""
        if shape == "disc":
            self.add("circle", cx=x, cy=y, r=size, class_=class_)
        elif shape == "square":
            self.add("rect", x=x - size, y=y - size, width=2 * size, height=2 * size, class_=class_)
        elif shape == "diamond":
            reach = 1.35 * size
            self.path([(x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y), (x, y - reach)], class_)
        elif shape == "bar":
            self.line(x, y - 1.6 * size, x, y + 1.6 * size, class_)
        else:
            self.line(x - size, y - size, x + size, y + size, class_)
            self.line(x - size, y + size, x + size, y - size, class_)

    def ticks_below(self, axis: Axis, y: float, ticks: Iterable[tuple[float, str]]) -> None:
        """Adds the words of a horizontal axis below the height `y`."""
        for value, word in ticks:
            x = axis.place(value)
            self.line(x, y, x, y + 4, "axis")
            is_at_edge = x + 3.5 * len(word) > self.width
            self.text(self.width - 1 if is_at_edge else x, y + 17, word, "small", "end" if is_at_edge else "middle")

    def ticks_left(self, axis: Axis, x1: float, x2: float, ticks: Iterable[tuple[float, str]]) -> None:
        """Adds the words of a vertical axis before `x1`, each with a faint line to `x2`."""
        for value, word in ticks:
            y = axis.place(value)
            self.line(x1, y, x2, y, "grid")
            self.text(x1 - 6, y + 4, word, "small", "end")

    def legend(self, y: float, entries: Sequence[tuple[str, str, str]], x: float = 8) -> float:
        """Adds what the marks mean, (shape, class, words), from left to right; returns the height below."""
        at = x
        for shape, class_, words in entries:
            length = 24 + 6.1 * len(words)
            if at > x and at + length > self.width:
                at, y = x, y + 18
            if shape == "line":
                self.line(at - 5, y - 4, at + 9, y - 4, class_)
            else:
                self.mark(shape, at + 2, y - 4, 4, class_)
            self.text(at + 14, y, words, "small")
            at += length + 8
        return y + 10

    def render(self) -> Markup:
        """Returns the picture."""
        kind = "wide" if self.width == WIDE else "narrow"
        key = f"{self.name}-{kind}"
        head = (
            f'<svg class="{kind}" viewBox="0 0 {self.width} {_tell(self.height)}" role="img" '
            f'aria-labelledby="{key}-title" aria-describedby="{key}-desc"><title id="{key}-title">{escape(self.title)}'
            f'</title><desc id="{key}-desc">{escape(self.description)}</desc>'
        )
        return Markup(head + "".join(self._parts) + "</svg>")  # noqa: S704 - every text in it is escaped


def draw_both(draw: Callable[[int], Drawing]) -> Markup:
    """Returns a picture twice, of which a page shows the one that fits."""
    return Markup("").join(draw(width).render() for width in (WIDE, NARROW))


def _tell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
