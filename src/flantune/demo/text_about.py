"""Plain text about working with text: people who read, ask, choose, judge and write.

It teaches the base model words such as "premise" and "paraphrase", which occur in instructions. No sentence is worded
like a task.
"""

from __future__ import annotations

from random import Random

from flantune.demo.names import PEOPLE

KINDS = ("story", "text", "review", "letter", "sentence", "passage", "message", "list", "dialogue", "report")
SENTENCES = (
    "{a} read the following {t} and thought about it.",
    "{b} had a question about the {t}. {a} knew the answer.",
    "Which of the options is best? That is what {a} wanted to know.",
    "{a} had to choose one of two options and took the first.",
    "Please write the {t} again, said {b}.",
    "{a} gave the {t} a title and described what it says.",
    "{b} translated a {t} into Moku and then back into English.",
    "The {t} was complete, and each word had the right meaning.",
    "Does this follow? {a} could not tell from the {t}.",
    "{a} checked if the statement was correct, true or false.",
    "How does the {t} end? {b} wrote the last sentence.",
    "{a} picked the correct word and the most likely ending.",
    "{b} named a cause and an effect, a person, a place and a number.",
    "Based on the {t}, {a} decided what happens next.",
    "The pupils solve the problem: how many are left, and who has more?",
    "Is it possible to say who is meant? {b} explained the {t}.",
    "A premise is what we are told; a hypothesis may follow from it or not.",
    "{a} had to decide which hypothesis a premise must entail, and what cannot be concluded.",
    "{b} made a claim about the {t}, and {a} gave a verdict on this claim.",
    "An editor can judge the grammar of every line that a learner writes.",
    "The librarian helped {a} to sort texts, each into a category, and to classify them by subject.",
    "{b} had an opinion. The tone of the {t} was friendly, its sentiment was clear.",
    "A critic described the overall impression, and a customer wrote how happy or unhappy he was.",
    "{a} asked for a reason. {b} found the more plausible explanation.",
    "To paraphrase is to rephrase the original: it expresses a fact differently, without a change.",
    "{b} could locate every fact in the passage, as the context was useful.",
    "On the form {a} put a name, an address and an occupation. {b} knows the trade or profession of everybody.",
    "The referee likes to compare numbers. {a} prefers a little math.",
    "{a} has common sense: {b} can ask for an outcome, and {a} will predict it.",
    "A pronoun may refer to one or the other. To resolve it, {a} would replace it with a name.",
    "To describe a scene, summarize its events, compose a headline: that was the work of {a}.",
    "A dictionary has an entry and a translation for what a speaker says. {b} looks up words there.",
    "{b} likes trivia and, from memory, mentioned some facts about towns.",
    "{a} continued the chat and replied to whoever asked. What should one reply to that?",
    "{a} plans to reach a goal. The sensible solution was probably a natural one.",
    "In a word, the main point of {b} was this: a report needs an example.",
    "The data were a group of attributes. {a} made sentences of them, as if they could speak.",
    "Are the meanings equal? {b} had to check, and came to a conclusion.",
    "Pick the odd one, said {a}, and cross it out. Mark what fits.",
    "According to {b}, the final version was right. {a} was not sure.",
    "Invent a {t}, think, call a friend, tell it, finish it: so {b} spent the evening.",
    "{a} had to guess what came afterwards, what the result may be, and how people feel.",
    "Suppose it happened just so: then here is an observation that explains it.",
    "Whose turn is it? The second speaker stands up and asks for an object.",
)


def about_texts(rng: Random) -> str:
    """A document about people who read, ask, judge, choose and write."""
    one, two = rng.sample(PEOPLE, 2)
    kind = rng.choice(KINDS)
    return " ".join(shape.format(a=one, b=two, t=kind) for shape in rng.sample(SENTENCES, rng.randint(2, 4)))
