"""CSV text to rows of a feed: header bound to the contract, each row checked, a bad row told and the next one read.

`open_csv` reads the header and refuses a file that does not fit; `CsvFile.rows` streams the rest. A row that was kept
can be read again alone: `bind` its file's header, then `Binding.row`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from adapter.errors import Rejected, kind_of
from adapter.model import Issue, record
from adapter.parse.charset import LETTER_LOST, LOST
from adapter.parse.rows_cells import ISSUE_OF, Reader, code_readers, date_readers
from adapter.parse.rows_contract import Contract
from adapter.parse.rows_header import Header, bound
from adapter.parse.rows_options import LONGEST_RECORD, CsvOptions
from adapter.parse.rows_records import Records, split
from adapter.parse.rows_spreadsheet import hint, spreadsheet_parts
from adapter.parse.rows_wide import Narrowed

_BOMS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@record
class Row:
    """A row that fits its contract.

    number: of the record in the file, the header being 1. cells: column -> text in the contract's form, empty cells
    left out; a header that the contract does not know stands under its own name. raw: the record without line end.
    more: the cells of further rows that the same record holds, where the feed says so (`each`).
    """

    number: int
    cells: dict[str, str]
    raw: bytes
    more: tuple[dict[str, str], ...] = ()

    @property
    def every(self) -> tuple[dict[str, str], ...]:
        """The cells of each row that the record holds; one, but for feeds that repeat columns."""
        return (self.cells, *self.more)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """A row that is not taken, with every reason (`row 12, role`). raw: the record, cut at LONGEST_RECORD."""

    number: int
    issues: tuple[Issue, ...]
    raw: bytes

    @property
    def blank(self) -> bool:
        """Whether the record says nothing, so that nothing is refused: it is blank, or one that the feed leaves out."""
        return all(kind_of(i).severity == "information" for i in self.issues)


class Binding:
    """A header bound to its contract: reads single rows; pure, and safe to share between threads."""

    __slots__ = ("_codes", "_dates", "_defaults", "_shaped", "contract", "header", "options")

    def __init__(self, header: Header, contract: Contract, options: CsvOptions) -> None:
        self.header = header
        self.contract = contract
        self.options = options
        self._codes = _present(code_readers(contract, options), header)
        self._dates = _present(date_readers(contract, options), header)
        self._defaults = {column: text for column, text in options.defaults.items() if column in contract.required}
        self._shaped = bool(options.shape.headers or options.shape.ignore or options.shape.constants or options.each
                            or header.corrected)

    def row(self, number: int, raw: bytes) -> Row | RowError:
        """One record as a row, or why it is none."""
        try:
            parts = self._parts(raw)
            cells, unshaped = self._shape(parts) if self._shaped else (self._cells(parts), ())
        except Rejected as refused:
            issue = refused.issue
            return RowError(number=number, raw=raw[:LONGEST_RECORD],
                            issues=(Issue(code=issue.code, place=f"row {number}", detail=issue.detail),))
        issues = tuple([Issue(code="csv-value", place=f"row {number}, {header}", detail="it cannot be split as the feed says")
                        for header in unshaped]) if unshaped else ()
        if not self.options.each:
            issues += self._checked(number, cells, raw)
            return RowError(number=number, issues=issues, raw=raw) if issues else Row(number=number, cells=cells, raw=raw)
        rows = self.header.each.rows({header: self._text(parts[place]) for header, place in self.header.at.items()}, cells)
        for n, one in enumerate(rows, 1):
            issues += tuple(Issue(code=i.code, place=f"{i.place}[{n}]", detail=i.detail) for i in self._checked(number, one, raw))
        if not rows:
            issues += (Issue(code="csv-row-skipped", place=f"row {number}"),)
        if issues:
            return RowError(number=number, issues=issues, raw=raw)
        return Row(number=number, cells=rows[0], raw=raw, more=tuple(rows[1:]))

    def _checked(self, number: int, cells: dict[str, str], raw: bytes) -> tuple[Issue, ...]:
        """Put cells in the contract's form; what is wrong with them. Required ones that are empty get the feed's defaults.

        raw: the record; none of its cells is longer.
        """
        fits = self.contract.validator.is_valid
        issues = self._oversized(number, cells) if self._shaped or len(raw) > self.options.longest_cell or b"\0" in raw else ()
        unread = _rewrite(cells, self._codes) if self._codes else []
        for column, text in self._defaults.items():
            cells.setdefault(column, text)
        if not (fit := fits(cells)):
            unread += _rewrite(cells, self._dates)
        if unread or not (fit or fits(cells)):
            issues += self._findings(number, cells, unread)
        return issues

    def _text(self, part: str) -> str:
        text = part.strip()
        return "" if text in self.options.empty else text

    def _parts(self, raw: bytes) -> list[str]:
        if len(raw) > LONGEST_RECORD:
            raise Rejected("csv-cell-long", "", f"above {LONGEST_RECORD} bytes")
        try:
            text = raw.decode(self.options.charset)
        except UnicodeDecodeError as error:
            raise Rejected("charset", "", f"byte {error.start + 1} is not {self.options.charset}") from error
        if LOST in text:
            raise Rejected("charset", "", LETTER_LOST)
        if '="' in text or self.options.excel_text:
            parts: list[str] | None = spreadsheet_parts(text, self.options)
        else:
            parts = split(text, self.options)
        if parts is None:
            raise Rejected("csv-quote")
        return self._divided(parts) if self.header.corrected else parts

    def _divided(self, parts: list[str]) -> list[str]:
        """The cells of a row of an error file; of one that had none, those of the record beside it."""
        own, record = len(self.header.own), parts[-1]
        if len(parts) != len(self.header.written) or not record.strip() or any(part.strip() for part in parts[:own]):
            return parts
        found = split(record, self.options)
        if found is None:
            raise Rejected("csv-quote", "", "the record in error_record")
        if len(found) != own:
            raise Rejected("csv-row-ragged", "", f"{len(found)} cells in error_record, {own} headers")
        return [*found, *[""] * (len(parts) - own)]

    def _shape(self, parts: list[str]) -> tuple[dict[str, str], list[str]]:
        """The cells, those that the feed makes of others among them, and the headers that cannot be split."""
        shaper = self.header.shaper
        if shaper.skips(parts):
            raise Rejected("csv-row-skipped")
        cells = self._cells(parts)
        if shaper.leaves(parts):
            raise Rejected("csv-row-skipped")
        for name in self.header.passed:
            cells.pop(name, None)
        return cells, shaper.fill(parts, cells)

    def _cells(self, parts: list[str]) -> dict[str, str]:
        names = self.header.names
        cells = {name: text for name, part in zip(names, parts, strict=False) if (text := part.strip())}
        if empty := self.options.empty:
            cells = {name: text for name, text in cells.items() if text not in empty}
        width = len(self.header.written)
        if not cells and len(parts) <= width:
            raise Rejected("csv-row-empty")
        if len(parts) != width:
            raise Rejected("csv-row-ragged", "", f"{len(parts)} cells, {width} headers")
        return cells

    def _oversized(self, number: int, cells: dict[str, str]) -> tuple[Issue, ...]:
        longest = self.options.longest_cell
        return tuple(
            Issue(code="csv-nul" if "\0" in text else "csv-cell-long", place=f"row {number}, {column}")
            for column, text in cells.items() if len(text) > longest or "\0" in text)

    def _findings(self, number: int, cells: dict[str, str], unread: list[str]) -> tuple[Issue, ...]:
        """One issue for each column that does not fit, in the contract's order; never a cell's text."""
        errors = self.contract.validator.iter_errors(cells)
        failed = {*unread, *(str(error.instance_path[0]) for error in errors if error.instance_path)}
        missing = set(self.contract.required) - cells.keys()
        codes = {c: "csv-value-missing" if c in missing else "csv-code" if kind == "text" and c in unread else ISSUE_OF[kind]
                 for c, kind in self.contract.columns.items() if c in failed or c in missing}
        return (tuple(Issue(code=code, place=f"row {number}, {column}", detail=hint(code, cells.get(column, "")))
                      for column, code in codes.items())
                or (Issue(code="csv-value", place=f"row {number}"),))


class CsvFile:
    """A CSV whose header fits. skipped: rows read so far that the feed leaves out."""

    def __init__(self, binding: Binding, records: Records) -> None:
        self.binding = binding
        self.header = binding.header.written
        self.skipped = 0
        self._records = records

    @property
    def issues(self) -> tuple[Issue, ...]:
        """What was noticed of the file: columns that the contract does not know, and how many rows were left out so far."""
        left = (Issue(code="csv-row-skipped", place="rows", detail=f"{self.skipped} of them"),) if self.skipped else ()
        return (*self.binding.header.issues, *left)

    def rows(self) -> Iterator[Row | RowError]:
        """Every further record, once, but for those that the feed leaves out. Blank rows are told only where one follows."""
        blank: list[RowError] = []
        for raw in self._records:
            row = self.binding.row(self._records.number, raw)
            if isinstance(row, RowError) and row.issues[0].code == "csv-row-skipped":
                self.skipped += 1
                continue
            if isinstance(row, RowError) and row.issues[0].code == "csv-row-empty" and len(blank) < 1000:
                blank.append(row)
                continue
            if blank:
                yield from blank
                blank.clear()
            yield row


def bind(header: Sequence[str], contract: Contract, options: CsvOptions | None = None) -> Binding:
    """Bind header cells to a contract. Raises Rejected (csv-header, csv-column-missing)."""
    taken = options or CsvOptions()
    return Binding(bound(tuple(header), contract, taken), contract, taken)


def open_csv(source: bytes | BinaryIO, contract: Contract, options: CsvOptions | None = None) -> CsvFile:
    """Read and check the header of a CSV (bytes, or a binary stream that is read as rows are asked for).

    Raises Rejected: empty, binary, charset, csv-header, csv-column-missing.
    """
    taken = options or CsvOptions()
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    records = Records(Narrowed(stream, taken.wide) if taken.wide else stream, taken)
    first = next(records, b"")
    for mark, charset in _BOMS.items():
        if first.startswith(mark):
            raise Rejected("charset", "row 1", f"the file is {charset}, the feed's charset {taken.charset}")
    if b"\0" in first:
        raise Rejected("binary", "row 1")
    if not first.strip():
        raise Rejected("empty") if next(records, None) is None else Rejected("csv-header", "row 1", "the row is blank")
    try:
        head = first.decode(taken.charset)
    except UnicodeDecodeError as error:
        raise Rejected("charset", "row 1", f"byte {error.start + 1} is not {taken.charset}") from error
    if LOST in head:
        raise Rejected("charset", "row 1", LETTER_LOST)
    cells = spreadsheet_parts(head, taken) if taken.excel_text else split(head, taken)
    if cells is None:
        raise Rejected("csv-header", "row 1", "a quote is not closed")
    binding = bind(cells, contract, taken)
    records.width = len(cells)
    return CsvFile(binding, records)


def read(source: bytes | BinaryIO, contract: Contract, options: CsvOptions | None = None) -> Iterator[Row | RowError]:
    """Every row of a CSV. Raises Rejected at once, before the first row, where the header does not fit."""
    return open_csv(source, contract, options).rows()


def _present(found: dict[str, Reader], header: Header) -> list[tuple[str, Reader]]:
    return [(column, reader) for column, reader in found.items() if column in header.names]


def _rewrite(cells: dict[str, str], columns: list[tuple[str, Reader]]) -> list[str]:
    """Put cells in the contract's form; the columns whose cell is in no form that the feed declares."""
    unread: list[str] = []
    for column, reader in columns:
        if (written := cells.get(column)) is not None:
            if (taken := reader(written)) is None:
                unread.append(column)
            else:
                cells[column] = taken
    return unread
