"""The list of who is here, with a mark on the one whose volume can be changed."""

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from raccall.cli.terminal.people import Person, row_of

PEOPLE_COLUMNS = 30


class PeopleList(OptionList):
    """Who is here; the marked one's volume can be changed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign", "volume(1)", "Louder", key_display="+"),
        Binding("minus", "volume(-1)", "Quieter", key_display="-"),
        Binding("0", "volume(0)", show=False),
    ]

    people: list[Person]

    def __init__(self, change_volume: Callable[[Person, int], None]) -> None:
        """change_volume: gets the marked person and 1 (louder), -1 (quieter) or 0 (as they are)."""
        super().__init__(id="people")
        self._change_volume = change_volume
        self.people = []
        self._columns = 0
        self.border_title = "People"

    def show(self, people: list[Person]) -> None:
        """Rows are exchanged in place, so that the mark and the scroll stay where they are."""
        before_columns, self._columns = self._columns, self.content_size.width or PEOPLE_COLUMNS - 2
        rows = [row_of(person, self._columns) for person in people]
        if [person.user_id for person in people] != [person.user_id for person in self.people]:
            marked = self.marked
            self.clear_options()
            self.add_options(Option(row, id=person.user_id) for person, row in zip(people, rows, strict=True))
            self.people = people
            places = {person.user_id: place for place, person in enumerate(people)}
            self.highlighted = places.get(marked.user_id, 0) if marked is not None else None
            return
        for place, (before, person) in enumerate(zip(self.people, people, strict=True)):
            if before != person or before_columns != self._columns:
                self.replace_option_prompt_at_index(place, rows[place])
        self.people = people

    @property
    def marked(self) -> Person | None:
        place = self.highlighted
        return self.people[place] if place is not None and place < len(self.people) else None

    def action_volume(self, direction: int) -> None:
        if (person := self.marked) is not None:
            self._change_volume(person, direction)
