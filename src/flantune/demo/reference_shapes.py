"""Sentences with "he", "she" or "it", where the reason given determines who or what is meant."""

from __future__ import annotations

from functools import cache

PERSON_SHAPES = (
    # a sentence about two people; a reason in which the first is meant; one in which the second is
    ("{a} gave {b} some bread", "{w} had too much of it", "{w} was hungry"),
    ("{a} asked {b} for help", "{w} could not do it alone", "{w} was very strong"),
    ("{a} thanked {b}", "{w} had been given help", "{w} had been so helpful"),
    ("{a} paid {b}", "{w} had bought the horse", "{w} had done the work"),
    ("{a} visited {b} in the hospital", "{w} wanted to bring flowers", "{w} was sick"),
    ("{a} ran away from {b}", "{w} was scared", "{w} looked dangerous"),
    ("{a} sold the house to {b}", "{w} needed money", "{w} needed a home"),
    ("{a} carried {b}", "{w} was strong", "{w} could not walk"),
    ("{a} taught {b} to swim", "{w} was a good teacher", "{w} wanted to learn"),
    ("{a} lost the game against {b}", "{w} played badly", "{w} played well"),
    ("{a} shouted at {b}", "{w} was in a rage", "{w} had broken the window"),
    ("{a} woke {b}", "{w} did not want to be alone", "{w} had slept too long"),
    ("{a} lent {b} an umbrella", "{w} had two of them", "{w} was getting wet"),
    ("{a} followed {b}", "{w} did not know the way", "{w} knew the way"),
    ("{a} waited for {b}", "{w} was too early", "{w} was late"),
    ("{a} called {b}", "{w} needed advice", "{w} always gave good advice"),
    ("{a} hid from {b}", "{w} did not want to be seen", "{w} was looking everywhere"),
    ("{a} comforted {b}", "{w} was a kind friend", "{w} was crying"),
    ("{a} cooked for {b}", "{w} liked to cook", "{w} could not cook"),
    ("{a} bought a cake for {b}", "{w} wanted to say sorry", "{w} had a birthday"),
    ("{a} read a story to {b}", "{w} had a new book", "{w} could not read yet"),
    ("{a} beat {b} in the race", "{w} ran faster", "{w} fell down"),
    ("{a} did not trust {b}", "{w} had been cheated before", "{w} often told lies"),
    ("{a} laughed at {b}", "{w} was in a silly mood", "{w} wore a funny hat"),
    ("{a} hired {b}", "{w} had too much work", "{w} was looking for a job"),
    ("{a} envied {b}", "{w} had no car", "{w} had a new car"),
    ("{a} apologized to {b}", "{w} had been rude", "{w} had been hurt"),
    ("{a} borrowed a pen from {b}", "{w} had lost the pencil", "{w} had many pens"),
    ("{a} asked {b} a question", "{w} did not know the answer", "{w} was sure to know the answer"),
    ("{a} pulled {b} out of the water", "{w} could swim well", "{w} could not swim"),
    ("{a} gave {b} a coat", "{w} was warm enough", "{w} was freezing"),
    ("{a} drove {b} home", "{w} had a car", "{w} had missed the bus"),
    ("{a} spoke slowly to {b}", "{w} was patient", "{w} was hard of hearing"),
    ("{a} gave {b} a medal", "{w} was the head of the club", "{w} had won the race"),
    ("{a} copied from {b}", "{w} had not learned for the test", "{w} had all the answers"),
    ("{a} could not see past {b}", "{w} was too short", "{w} was too tall"),
    ("{a} praised {b}", "{w} was pleased", "{w} had worked hard"),
    ("{a} punished {b}", "{w} was strict", "{w} had stolen the money"),
    ("{a} married {b}", "{w} was in love", "{w} had asked so nicely"),
    ("{a} gave {b} first aid", "{w} was a nurse", "{w} was bleeding"),
)
THING_SHAPES = (
    # a sentence about two things; a reason in which the first is meant; one in which the second is; words for each
    (
        "the {x} did not fit into the {y}",
        "it was too big",
        "it was too small",
        "ball, lamp, plate, book, clock, drum",
        "box, bag, basket, drawer, trunk, bucket",
    ),
    (
        "the {x} smashed the {y}",
        "it was very heavy",
        "it was made of thin glass",
        "stone, hammer, brick, pan, statue, clock",
        "lamp, vase, bowl, window, mirror, bottle",
    ),
    (
        "the {x} could not be put on the {y}",
        "it was too heavy",
        "it was too weak",
        "piano, statue, stove, safe, trunk, barrel",
        "shelf, table, cart, bench, stool, desk",
    ),
    (
        "the {x} could not be seen behind the {y}",
        "it was so small",
        "it was so big",
        "mouse, coin, key, spoon, ring, button",
        "box, tree, barn, wall, trunk, statue",
    ),
    (
        "the {x} would not go through the {y}",
        "it was too wide",
        "it was too narrow",
        "piano, bed, table, wagon, sofa, cart",
        "door, gate, tunnel, window, hall, street",
    ),
    (
        "the {x} passed the {y}",
        "it was faster",
        "it was slower",
        "train, car, bus, truck, taxi, van",
        "bike, tram, wagon, boat, cart, sled",
    ),
    (
        "the {x} did not cover the {y}",
        "it was too short",
        "it was too long",
        "blanket, carpet, cloth, curtain, towel, sheet",
        "bed, table, bench, sofa, desk, floor",
    ),
    (
        "the {x} caught the {y}",
        "it was quick",
        "it was slow",
        "cat, dog, fox, owl, wolf, snake",
        "mouse, rabbit, bird, duck, hen, frog",
    ),
    (
        "the {x} ran away from the {y}",
        "it was afraid",
        "it was dangerous",
        "mouse, rabbit, goat, duck, hen, sheep",
        "wolf, bear, lion, snake, tiger, fox",
    ),
    (
        "the {x} drank from the {y}",
        "it was thirsty",
        "it was full of milk",
        "cat, dog, goat, lamb, rabbit, calf",
        "bowl, bucket, cup, pot, bottle, glass",
    ),
    (
        "the {x} slept on the {y}",
        "it was tired",
        "it was soft",
        "cat, dog, rabbit, puppy, lamb, hen",
        "bed, sofa, pillow, carpet, blanket, coat",
    ),
    (
        "the {x} jumped over the {y}",
        "it could jump high",
        "it was low",
        "horse, goat, dog, sheep, fox, cat",
        "wall, fence, bench, gate, stone, bucket",
    ),
    (
        "the {x} ate the {y}",
        "it was hungry",
        "it smelled good",
        "dog, cow, mouse, horse, goat, pig",
        "bread, cake, apple, cheese, pie, carrot",
    ),
    (
        "the {x} did not touch the {y}",
        "it had eaten already",
        "it tasted bad",
        "dog, cat, mouse, goat, bird, pig",
        "soup, cheese, egg, rice, bread, meat",
    ),
    (
        "the {x} broke on the {y}",
        "it was made of glass",
        "it was made of stone",
        "cup, plate, bottle, vase, bowl, lamp",
        "floor, wall, bench, table, stairs, tower",
    ),
    (
        "the {x} rolled off the {y}",
        "it was round",
        "it was not level",
        "ball, apple, coin, egg, ring, candle",
        "table, shelf, desk, roof, bench, wagon",
    ),
    (
        "the {x} could not pull the {y}",
        "it was too weak",
        "it was too heavy",
        "donkey, goat, dog, horse, cow, calf",
        "cart, wagon, sled, truck, boat, log",
    ),
    (
        "the {x} could not be cut with the {y}",
        "it was too hard",
        "it was too blunt",
        "bread, cheese, bone, wood, meat, rope",
        "knife, saw, axe, sword, chisel, razor",
    ),
    (
        "the {x} was filled from the {y}",
        "it was empty",
        "it was full",
        "cup, bottle, glass, bowl, spoon, mug",
        "barrel, bucket, jar, pot, well, bathtub",
    ),
    (
        "the {x} bit the {y}",
        "it was angry",
        "it had pulled its tail",
        "dog, cat, horse, goat, snake, pig",
        "fox, wolf, monkey, rat, bear, hen",
    ),
    (
        "the {x} hid under the {y}",
        "it was scared",
        "it stood in a quiet corner",
        "cat, dog, mouse, rabbit, puppy, hen",
        "bed, table, sofa, desk, bench, wagon",
    ),
    (
        "the {x} scratched the {y}",
        "it was sharp",
        "it was made of soft wood",
        "key, knife, needle, nail, saw, axe",
        "table, door, bench, chair, desk, bed",
    ),
)


@cache
def person_facts() -> tuple[tuple[str, int, str], ...]:
    """Each sentence about two people with each reason: (shape, index of the person meant, reason)."""
    return tuple((shape, who, reasons[who]) for shape, *reasons in PERSON_SHAPES for who in (0, 1))


@cache
def thing_facts() -> tuple[tuple[str, int, str, tuple[str, ...], tuple[str, ...]], ...]:
    """Each sentence about two things with each reason: (shape, index of that meant, reason, words for x and y)."""
    return tuple(
        (shape, which, (first, second)[which], tuple(xs.split(", ")), tuple(ys.split(", ")))
        for shape, first, second, xs, ys in THING_SHAPES
        for which in (0, 1)
    )
