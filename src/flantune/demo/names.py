"""The names of the micro-world: people, towns, rivers."""

from __future__ import annotations

WOMEN = tuple(
    """
    Anna Mia Lena Sara Eva Nora Rosa Ida Clara Emma Julia Alma Vera Dora Greta Hanna Olga Paula Rita Tina Ada
    Agnes Alice Amy Anita Astrid Aurora Beata Bella Bertha Bianca Birgit Bonnie Britta Camilla Carla Carmen
    Cecilia Celia Chloe Cora Daisy Dana Daria Delia Diana Edith Elena Eliza Ella Elsa Emily Erica Esther Fanny
    Fatima Fiona Flora Frida Gina Gloria Grace Gwen Hazel Hedda Helen Helga Hilda Inga Irene Iris Irma Isabel
    Jana Jane Jenny Joan Johanna Judith June Karen Karin Kate Kira Laila Lara Laura Leila Lia Lilian Linda
    Lisa Livia Lotte Lucia Lucy Lydia Mabel Magda Maja Mara Maria Marta Mary Maud Mila Mona Muriel Nadia Nancy
    Nelly Nina Noemi Olive Pam Petra Pia Rachel Ramona Regina Renata Rhea Romy Ruth Sally Selma Sigrid Silvia
    Simone Sonja Sophie Stella Susan Sybil Tanja Tara Tessa Thea Tilda Ursula Valerie Vivian Wanda Wilma Yara
    Yvonne Zara Zelda Zita Zoe
    """.split()  # noqa: SIM905
)
MEN = tuple(
    """
    Tom Sam Ben Max Leo Paul Karl Otto Hugo Finn Noah Emil Oscar Felix Ivan Jonas Lars Nick Rolf Theo Aaron
    Abel Adam Adrian Alan Albert Alfred Ali Amos Andre Anton Arne Arthur Axel Bart Basil Bernd Bert Bob Boris
    Bruno Carlo Cesar Chris Claus Clive Conrad Curt Cyril Dan David Dennis Derek Dirk Edgar Edwin Eli Eric
    Ernest Erwin Eugene Fabian Felipe Frank Fred Fritz Gavin Georg Gerald Gilbert Glenn Gordon Greg Gustav Guy
    Hans Harald Harry Heinz Henry Herman Homer Horst Howard Igor Isaac Jack Jacob James Jan Jason Jens Jim
    Joel John Josef Juan Julian Kai Keith Ken Kevin Klaus Knut Kurt Leon Lewis Louis Lucas Ludwig Luis Luke
    Magnus Manuel Marco Mario Martin Mats Melvin Miguel Milo Moritz Neil Niels Norman Olaf Oliver Omar Orson
    Owen Pablo Patrick Pedro Peter Philip Pierre Ralf Ramon Ray Robert Roger Roman Ron Rudi Scott Sean Simon
    Stefan Steve Sven
    """.split()  # noqa: SIM905
)
PEOPLE = tuple(name for pair in zip(WOMEN, MEN, strict=False) for name in pair)
"""All people, women and men alternating."""

TOWNS = tuple("Arden Belmor Corvia Delsy Ostra Fenwick Lumen Marlow Tavik Hollin Peska Quorra".split())  # noqa: SIM905
RIVERS = tuple("Isil Varn Tamo Quill Resk Odra Nima Yarrow Kesh Luda Brisk Merra".split())  # noqa: SIM905
