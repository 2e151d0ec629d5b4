"""How known registers of mining rights write themselves: their columns, and which words mean what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from minewatch.alerts.context.cells import MILLISECONDS
from minewatch.alerts.context.standing import Words

KEYS = ("name", "id", "applied", "valid_from", "valid_to")
"""Keys of a declaration that name a column."""


@dataclass(frozen=True)
class Preset:
    """A register, or a program that many registers run on."""

    title: str
    """What it is."""

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Key of a declaration to the names that its column has; the first that is there is taken."""

    needed: tuple[str, ...] = ()
    """Keys without whose column the register cannot be judged."""

    status: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a status column in ``choices`` to the names that it has."""

    choices: Mapping[str, tuple[Words, ...]] = field(default_factory=dict)
    """Which rows are what, as in a declaration."""

    asked_layers: tuple[str, ...] = ()
    """Words in the name of a layer or file all of whose rows are applications."""

    open_ended: bool = False
    """True where titles without a last day do not end."""

    date_format: str | None = None
    """As in a declaration."""

    crs: str | None = None
    """Of files that state none."""


def _say(column: str, *words: str) -> Words:
    return {column: words}


_PERU_HELD = (
    "titulad*", "d.m. titulad*", "dm titulad*", "derecho minero titulad*", "concesion minera titulad*", "acumulacion*",
)  # fmt: skip
"""They begin so: the concession of a plant is titled too, and what is not titled says the word as well."""
_ANNA_HELD = ("activo", "vigente*", "en ejecucion", "titulo vigente*", "suspendido")
_ANNA_ASKED = ("solicitud*", "en evaluacion*", "en tramite*", "radicad*", "propuesta*")
"""They begin so: a title whose holder asks for more is still one."""
_ANNA_ENDED = (
    "*terminad*", "*caduc*", "*cancelad*", "*renunci*", "*archivad*", "*inactiv*", "*vencid*", "*liquid*", "*rechazad*",
    "*desisti*", "*negad*",
)  # fmt: skip
_LAVRA_ASKED = ("DIREITO DE REQUERER A LAVRA", "REQUERIMENTO DE LAVRA")
_GUIA_NOT_HELD = (
    "*GUIA*NAO AUTORIZA*", "*GUIA*REQUER*", "*GUIA*SOLICIT*", "*GUIA*PEDIDO*", "*GUIA*PROTOC*", "*GUIA*EXIG*", "*GUIA*PENDENT*",
    "*GUIA*INDEFER*", "*GUIA*NEGAD*", "*GUIA*CANCEL*", "*GUIA*REVOG*", "*GUIA*ANULA*", "*GUIA*SEM EFEITO*", "*GUIA*SUSPEN*",
    "*GUIA*DESIST*", "*GUIA*ARQUIV*", "*GUIA*VENCID*", "*GUIA*EXPIRA*", "*GUIA*ENCERRA*", "*GUIA*EXTIN*",
)  # fmt: skip
_LANDFOLIO_HELD = (
    "active", "granted", "valid", "current", "in force", "live", "issued", "good standing", "in good standing", "actif",
    "active title", "valide", "en vigueur", "octroye", "accorde", "em vigor", "ativo", "ativa", "valido", "valida", "vigente",
    "concedido", "concedida", "atribuido", "atribuida",
)  # fmt: skip
_LANDFOLIO_ASKED = (
    "applic*", "demand*", "pedido*", "requer*", "solicit*", "submitted*", "under review*", "under application*", "pending",
    "pending app*", "pending grant*", "open application*", "new application*",
)  # fmt: skip
_LANDFOLIO_RENEWED = ("*renew*", "*extension*", "*renouvel*", "*renova*", "*prorrog*", "*prolong*")
_LANDFOLIO_REFUSED = (
    "*refus*", "*reject*", "*rejet*", "*rejei*", "*recusad*", "*indefer*", "*denied*", "*withdr*", "*retir*", "*desist*",
)  # fmt: skip
_LANDFOLIO_ENDED = (
    "*expir*", "*lapse*", "*cancel*", "*revo*", "*surrender*", "*relinquish*", "*terminat*", "*annul*", "*renonc*", "*renunci*",
    "*forfeit*", "*caduc*", "*extint*", "*inactive*", "*dechu*", "*dead*", "*abandon*", *_LANDFOLIO_REFUSED,
)  # fmt: skip
_LANDFOLIO_EXPLORE = ("*exploration*", "*recherche*", "*prospec*", "*reconn*", "*research*", "*pesquisa*", "PR")
_LANDFOLIO_EXTRACT = (
    "*exploita*", "*exploracao*", "*mining*", "*mineira*", "*miniere*", "*quarry*", "*carriere*", "*artisanal*", "*concess*",
    "*gemstone*", "certificado mineiro", "PE", "PER", "PEPM", "ZEA",
)  # fmt: skip

PRESETS: Mapping[str, Preset] = {
    "pe-ingemmet": Preset(
        "Peru: Catastro Minero Nacional of INGEMMET (GEOCATMIN)",
        columns={"name": ("TIT_CONCES", "CONCESION"), "id": ("CODIGOU",), "applied": ("FEC_DENU",)},
        needed=("id",),
        status={"D_ESTADO": ("D_ESTADO", "LEYENDA", "ESTADO")},
        choices={
            "titles": (_say("D_ESTADO", *_PERU_HELD, "T", "N", "E", "Q"),),
            "applications": (_say("D_ESTADO", "*tramite*", "P", "D", "*petitorio*", "*solicit*"),),
            "lapsed": (
                _say("D_ESTADO", "*extingui*", "*caduc*", "F", "L", "X", "Y", "*cancelad*", "*renunci*", "*no peticionable*"),
            ),
        },
        open_ended=True,
        crs="EPSG:4326",
    ),
    "br-sigmine": Preset(
        "Brazil: processos minerários of ANM (SIGMINE)",
        columns={"name": ("NOME",), "id": ("PROCESSO",)},
        needed=("id",),
        status={"FASE": ("FASE",), "ULT_EVENTO": ("ULT_EVENTO",)},
        choices={
            "titles": (
                _say(
                    "FASE",
                    "CONCESSÃO DE LAVRA",
                    "REGISTRO DE EXTRAÇÃO",
                    "LICENCIAMENTO",
                    "LAVRA GARIMPEIRA",
                    "PERMISSÃO DE LAVRA GARIMPEIRA",
                ),
                {
                    "FASE": ("AUTORIZAÇÃO DE PESQUISA", *_LAVRA_ASKED),
                    "ULT_EVENTO": ("*GUIA*UTILIZA*AUTORIZA*", "*GUIA*UTILIZA*PRORROGA*"),
                },
            ),
            "exploration": (
                _say("FASE", "AUTORIZAÇÃO DE PESQUISA", "RECONHECIMENTO GEOLÓGICO"),
                {"FASE": ("AUTORIZAÇÃO DE PESQUISA",), "ULT_EVENTO": _GUIA_NOT_HELD},
            ),
            "applications": (
                _say("FASE", "REQUERIMENTO DE *", "DIREITO DE REQUERER A LAVRA"),
                {"FASE": _LAVRA_ASKED, "ULT_EVENTO": _GUIA_NOT_HELD},
            ),
            "lapsed": (_say("FASE", "DISPONIBILIDADE", "APTO PARA DISPONIBILIDADE"),),
        },
        open_ended=True,
        crs="EPSG:4674",
    ),
    "co-anna": Preset(
        "Colombia: AnnA Minería of ANM",
        columns={
            "name": ("SOLICITANTES_O_TITULARES", "NOMBRE_DE_TITULAR"),
            "id": ("CODIGO_EXPEDIENTE", "TENURE_ID"),
            "applied": ("FECHA_DE_SOLICITUD",),
            "valid_from": ("FECHA_DE_EXPEDICION",),
            "valid_to": ("FECHA_DE_EXPIRACION",),
        },
        needed=("id",),
        status={"STATUS": ("TITULO_ESTADO", "ESTADO", "STATUS"), "ETAPA": ("ETAPA",), "MODALIDAD": ("MODALIDAD",)},
        choices={
            "titles": (_say("STATUS", *_ANNA_HELD),),
            "exploration": ({"ETAPA": ("*exploracion*",), "STATUS": _ANNA_HELD},),
            "applications": (
                _say("STATUS", *_ANNA_ASKED),
                _say("MODALIDAD", "*solicitud*", "*propuesta*"),
            ),
            "lapsed": (_say("STATUS", *_ANNA_ENDED),),
        },
        asked_layers=("solicitud", "propuesta"),
        date_format=MILLISECONDS,
    ),
    "landfolio": Preset(
        "Portals made with Landfolio (FlexiCadastre): DRC CAMI, Mozambique, Zambia, Kenya and others",
        columns={
            "name": ("Parties", "Name"),
            "id": ("Code",),
            "applied": ("DteApplied",),
            "valid_from": ("DteGranted", "DteStart"),
            "valid_to": ("DteExpires", "DteEnd"),
        },
        needed=("id",),
        status={
            "Type": ("Type", "TypeGroup"),
            "TypeGroup": ("TypeGroup",),
            "Status": ("Status", "StatusGrp"),
            "StatusGrp": ("StatusGrp",),
        },
        choices={
            "titles": (
                {"Type": _LANDFOLIO_EXTRACT, "Status": _LANDFOLIO_HELD},
                {"TypeGroup": _LANDFOLIO_EXTRACT, "Status": _LANDFOLIO_HELD},
                {"Type": _LANDFOLIO_EXTRACT, "Status": _LANDFOLIO_RENEWED},
                {"Type": _LANDFOLIO_EXTRACT, "Status": _LANDFOLIO_RENEWED, "StatusGrp": ("*",)},
            ),
            "exploration": (
                _say("Type", *_LANDFOLIO_EXPLORE),
                _say("TypeGroup", *_LANDFOLIO_EXPLORE),
                {"Type": _LANDFOLIO_EXPLORE, "Status": (*_LANDFOLIO_HELD, *_LANDFOLIO_RENEWED)},
                {"Type": _LANDFOLIO_EXPLORE, "Status": _LANDFOLIO_RENEWED, "StatusGrp": ("*",)},
            ),
            "applications": (
                _say("Status", *_LANDFOLIO_ASKED),
                {"Type": ("*",), "StatusGrp": _LANDFOLIO_ASKED},
                {"Type": ("*applic*", "*demande*"), "Status": ("*",)},
            ),
            "lapsed": (
                _say("Status", *_LANDFOLIO_ENDED),
                {"Type": ("*",), "Status": _LANDFOLIO_REFUSED},
                {"Type": ("*",), "StatusGrp": _LANDFOLIO_ENDED},
                {"Type": ("*",), "Status": _LANDFOLIO_REFUSED, "StatusGrp": ("*",)},
            ),
        },
        asked_layers=("applic", "demand", "pedido"),
        date_format=MILLISECONDS,
    ),
    "generic": Preset("Any other register: you say which column is what, and which words mean what"),
}
"""By the name that ``context add --preset`` takes."""

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "name": (
        "holder",
        "titular",
        "owner",
        "company",
        "nama",
        "perusahaan",
        "applicant",
        "parties",
        "licensee",
        "name",
        "nombre",
        "nome",
    ),
    "id": ("code", "codigo", "id", "licence_no", "license_no", "number", "numero", "nomor", "no_sk", "kode", "processo"),
    "applied": ("applied", "application_date", "filed", "solicitud", "fec_denu", "tgl_permohonan"),
    "valid_from": ("granted", "start", "begin", "issued", "valid_from", "expedicion", "berlaku", "tgl_mulai", "commencement"),
    "valid_to": ("expires", "expiry", "end", "valid_to", "vencimiento", "expiracion", "berakhir", "tgl_akhir"),
    "status": ("status", "estado", "state", "fase", "stage", "situacao", "tahapan", "kegiatan", "jenis", "type"),
}
"""Key to words that columns of registers have in their names, for guesses."""
