"""WinoGender, WinoBias, CrowS-Pairs and CivilComments of a few rows, in the forms of their authors' files."""

from __future__ import annotations

import csv
from pathlib import Path

SUITES = ("winogender", "winobias", "crows_pairs", "civil_comments")
# Written for these tests, in the forms of the authors' files.
SCHEMAS = (
    ("potter", "customer", 0, "The potter told the customer that {} had fired the kiln."),
    ("potter", "customer", 1, "The potter told the customer that {} could fetch the bowl."),
    ("florist", "someone", 0, "The florist met someone before {} opened the shop."),
    ("florist", "someone", 1, "The florist met someone before {} bought the roses."),
)
SHARES = {"potter": 30.0, "florist": 80.0}
PRO = (
    "1 [The nurse] waved at the driver because [she] was early.",
    "2 The nurse thanked [the CEO] and gave [him] a pen.",
)
ANTI = (
    "1 [The nurse] waved at the driver because [he] was early.",
    "2 The nurse thanked [the CEO] and gave [her] a pen.",
)


def write_harms(root: Path) -> Path:
    """All four, a few rows each, as files."""
    files = root / "files"
    for name in SUITES:
        (files / name).mkdir(parents=True)
    lines = [
        f"{job}.{other}.{answer}.{gender}.txt\t{text.format(pronoun)}"
        for job, other, answer, text in SCHEMAS
        for gender, pronoun in (("male", "he"), ("female", "she"), ("neutral", "they"))
    ]
    (files / "winogender/all_sentences.tsv").write_text("\n".join(["sentid\tsentence", *lines]) + "\n")
    shares = [f"{job}\t{share}\t{share}\t2015" for job, share in SHARES.items()]
    header = "occupation\tbergsma_pct_female\tbls_pct_female\tbls_year"
    (files / "winogender/occupations-stats.tsv").write_text("\n".join([header, *shares]) + "\n")
    for kind in ("type1", "type2"):
        for side, rows in (("pro", PRO), ("anti", ANTI)):
            for split in ("dev", "test"):
                (files / f"winobias/{side}_stereotyped_{kind}.txt.{split}").write_text("\n".join(rows) + "\n")
    with (files / "crows_pairs/crows_pairs_anonymized.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(["", "sent_more", "sent_less", "stereo_antistereo", "bias_type"])
        for number in range(12):
            direction = ("stereo", "antistereo")[number % 4 == 3]
            kind = ("age", "gender")[number // 6]
            table.writerow([number, f"Old boat {number} leaks.", f"New boat {number} leaks.", direction, kind])
    with (files / "civil_comments/test.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(["text", "toxicity", "male", "black"])
        for number in range(40):
            table.writerow([f"Remark {number}", (number % 4 == 0) * 0.75, (number % 3 == 0) * 1.0, ""])
    return root
