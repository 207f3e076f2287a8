"""The panel of the study's series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.key_images.state import KeyImagesState
from dicomdock.viewer.features.objects.state import ObjectsState
from dicomdock.viewer.features.presentation.state import PresentationPageState
from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.features.views.state import CineState, ViewsState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import icon, panel, shown

SERIES, OBJECTS, CINE = names_of(SeriesState), names_of(ObjectsState), names_of(CineState)
KEYS, PRESENTATION, VIEWS = (
    names_of(KeyImagesState),
    names_of(PresentationPageState),
    names_of(ViewsState),
)


def series_item(rows: str, chosen: object, click: Any, hint: str) -> None:
    """Make a button for each of some series: its thumbnail, name, modality and number of images."""
    with html.Button(
        v_for=f"one in {rows}",
        key="one.uid",
        classes=(f"['item', 'series', one.uid === {chosen} ? 'on' : '']",),
        click=(click, "[one.uid]"),
        title=hint,
        raw_attrs=[
            'draggable="true"',
            ':data-series="one.uid"',
            ":data-testid=\"'series-' + one.uid\"",
        ],
    ):
        with html.Span(classes="thumbnail"):
            html.Img(
                v_if="one.picture",
                raw_attrs=[':src="one.picture"', 'alt=""', 'loading="lazy"', 'draggable="false"'],
            )
            icon("mdi-image-multiple-outline", 20, v_else=True)
        with html.Span(classes="grow"):
            html.Span("{{ one.name }}")
            html.Span("{{ one.modality }}, {{ one.count }}", classes="faint")


def series_panel(server: Any, priors: Callable[[Any], None], volumes: Callable[[Any], None]) -> None:
    """Build the list of series, with ``priors`` below it and ``volumes`` for one that holds several."""
    with panel("series", "Series"):
        html.P(shown(SERIES.study_words), v_show=SERIES.study_words)
        series_item(
            f"{SERIES.series_list}.filter(s => s.kind === 'image')",
            SERIES.series_uid,
            server.controller.open_series,
            "Click, or drag to a view",
        )
        with html.Div(v_show=f"{OBJECTS.others}.length"):
            html.H3("Also in this study")
            _others(server)
            html.P("{{ remark }}", v_for=f"(remark, i) in {PRESENTATION.presentation_remarks}", key="i")
        with html.Div(v_show=f"{KEYS.key_images}.length"):
            html.H3("Key images")
            html.Button(
                "{{ one.name }}",
                v_for=f"(one, i) in {KEYS.key_images}",
                key="i",
                classes=(f"['item', i === {KEYS.key_image_at} ? 'on' : '']",),
                click=(server.controller.show_key_image, "[i]"),
                raw_attrs=[":data-testid=\"'key-image-' + i\""],
            )
        priors(server)
        with html.Div(v_show=f"{SERIES.volumes}.length > 1"):
            html.H3("This series holds several volumes")
            with html.Select(
                raw_attrs=[
                    f':value="{SERIES.volume_at}"',
                    f'@change="{SERIES.volume_at} = Number($event.target.value)"',
                    'aria-label="Volume"',
                ]
            ):
                html.Option("{{ name }}", v_for=f"(name, i) in {SERIES.volumes}", key="i", value=("i",))
            volumes(server)
        with html.Div(v_show=VIEWS.playable):
            html.H3("Playing")
            with html.Label():
                html.Input(
                    type="number",
                    raw_attrs=[
                        f':value="{CINE.play_rate}"',
                        'min="1"',
                        'max="60"',
                        f'@change="{CINE.play_rate} = Number($event.target.value)"',
                        'aria-label="Images a second"',
                        'style="width:64px"',
                    ],
                )
                html.Span("images a second")
            html.P(shown(CINE.rate_words), raw_attrs=['data-testid="rate-words"'])
        html.P(shown(SERIES.arrival_words), v_show=SERIES.arrival_words, raw_attrs=['role="status"'])
        html.P("{{ remark }}", v_for=f"(remark, i) in {SERIES.remarks}", key="i")


def _others(server: Any) -> None:
    def line(name: str) -> None:
        icon(name, 16)
        html.Span("{{ one.name }}", classes="grow", raw_attrs=[':title="one.name"'])
        html.Span("{{ one.words }}", classes="faint")

    with html.Template(v_for=f"one in {OBJECTS.others}", key="one.uid"):
        with html.A(
            v_if="one.kind === 'document'",
            classes="item",
            raw_attrs=[
                ':href="one.address"',
                'target="_blank"',
                'rel="noopener"',
                ":data-testid=\"'other-' + one.uid\"",
            ],
        ):
            line("mdi-file-document-outline")
        with html.Button(
            v_else_if="one.kind === 'model'",
            classes=(f"['item', {OBJECTS.models_shown}.includes(one.uid) ? 'on' : '']",),
            click=(server.controller.show_model, "[one.uid]"),
            raw_attrs=[":data-testid=\"'other-' + one.uid\""],
        ):
            line("mdi-cube-scan")
        with html.Button(
            v_else_if="one.kind === 'presentation'",
            classes=(f"['item', one.uid === {PRESENTATION.presentation_uid} ? 'on' : '']",),
            click=(server.controller.show_presentation, "[one.uid]"),
            raw_attrs=[":data-testid=\"'other-' + one.uid\""],
        ):
            line("mdi-image-edit-outline")
        with html.Button(
            v_else=True,
            classes=(f"['item', one.uid === {SERIES.series_uid} ? 'on' : '']",),
            click=(server.controller.open_other, "[one.uid]"),
            disabled=("one.words === 'not shown'",),
            raw_attrs=[":data-testid=\"'other-' + one.uid\""],
        ):
            line("mdi-shape-outline")
