"""The sentences that the language model learns to say, one function a kind of question. Every number comes from the evidence.

`regions` of an answer are listed by slot, except after a correction, which lists them by strength.
"""

from .evidence import CENTER_PARTS, NAMES, Evidence, by_slot, listed, regions_listed

UNKNOWN = "I cannot tell that from the evidence. I only have the forgery score and the map of the face."
OFF_TOPIC = "That is outside what I can answer here. I only explain the result of the forgery detector for this face."
ASK_ME = "Ask me about the score, the marked regions or what to check next."
LIKE_PAIRS = {"eyes": ("right eye", "left eye"), "cheeks": ("right cheek", "left cheek"), "sides of the jaw": ("right jaw", "left jaw")}


def capital(text: str) -> str:
    return text[0].upper() + text[1:]


def traces(e: Evidence, regions: str) -> str:
    """Where they are: a whole face has no place where they are strongest."""
    return f"traces are spread over {regions}" if e.named == ("full face",) else f"strongest traces are at {regions}"


def verdict(e: Evidence, regions: str) -> str:
    caution = " The score is close to the threshold, so treat this with caution." if e.confidence == "not very" else ""
    if not e.fake:
        return f"This face looks real: the forgery score is {e.score_percent}%, and from {e.threshold_percent}% on it would count as fake.{caution}"
    if e.named:
        return f"This face looks fake: the forgery score is {e.score_percent}%, and the {traces(e, regions)}.{caution}"
    return f"This face looks fake: the forgery score is {e.score_percent}%. The map does not single out a region.{caution}"


def where(e: Evidence, regions: str) -> str:
    if not e.fake:
        return "Nowhere in particular: the face looks real and no region stands out."
    return f"The {traces(e, regions)}." if e.named else "I cannot say where: the map does not single out a region."


def sure(e: Evidence, regions: str) -> str:
    return (
        f"I am {e.confidence} sure that this face is {e.verdict}. The forgery score is {e.score_percent}%, and the threshold is {e.threshold_percent}%."
    )


def extent(e: Evidence, regions: str) -> str:
    if e.fake:
        return f"About {e.extent_percent}% of the face is marked as manipulated."
    return "The face looks real, so no part of it counts as manipulated."


def why(e: Evidence, regions: str) -> str:
    if not e.fake:
        return f"The forgery score of {e.score_percent}% stays below the threshold of {e.threshold_percent}%, and no region stands out on the map."
    reached = f"The forgery score of {e.score_percent}% reaches the threshold of {e.threshold_percent}%"
    if e.named:
        bright = "lights up over" if e.named == ("full face",) else "is brightest at"
        return f"{reached}, and the map {bright} {regions}. It marks about {e.extent_percent}% of the face."
    return f"{reached}. The map marks about {e.extent_percent}% of the face but does not single out a region."


def next_step(e: Evidence, regions: str) -> str:
    if not e.fake:
        return "A low score is no proof. Check where the picture comes from, look at its metadata and search for other copies."
    if e.named:
        around = "the neck and the background" if e.named == ("full face",) else "the skin around it"
        return f"Look closely at {regions}: compare sharpness, colour and lighting with {around}, and search for the original picture."
    return "Look at the border of the face and at the lighting, and search for the original picture."


def limits(e: Evidence, regions: str) -> str:
    return (
        f"It can be wrong. The score is the estimate of a research model, and {e.score_percent}% is not a certainty, "
        "so check the picture by other means too."
    )


def meaning(e: Evidence, regions: str) -> str:
    return (
        "The forgery score is the detector's estimate, from 0% to 100%, that the face is forged. "
        f"From {e.threshold_percent}% on it counts as fake, and here it is {e.score_percent}%."
    )


def pushback(e: Evidence, regions: str) -> str:
    return (
        f"I understand the doubt, but the measurement stays the same: the forgery score is {e.score_percent}%, "
        f"and from {e.threshold_percent}% on a face counts as fake, so this face counts as {e.verdict}."
    )


def leading(e: Evidence, regions: str) -> str:
    """To a premise that the verdict contradicts; one that agrees gets `why`."""
    return (
        f"I cannot support that. The forgery score is {e.score_percent}%, and from {e.threshold_percent}% on a face counts as fake, "
        f"so this face counts as {e.verdict}."
    )


def injection(e: Evidence, regions: str) -> str:
    return f"I only report what was measured: the forgery score is {e.score_percent}%, so this face counts as {e.verdict}."


def unknown(e: Evidence, regions: str) -> str:
    return UNKNOWN


def off_topic(e: Evidence, regions: str) -> str:
    return OFF_TOPIC


def thanks(e: Evidence, regions: str) -> str:
    return f"You are welcome. {ASK_ME}"


def hello(e: Evidence, regions: str) -> str:
    return f"Hello. {ASK_ME}"


def _holding(e: Evidence, region: str) -> str | None:
    """The named whole or center that `region` lies in, if it is not that itself."""
    if region != "full face" and "full face" in e.named:
        return "full face"
    return "center face" if "center face" in e.named and region in CENTER_PARTS else None


def region(e: Evidence, name: str) -> str:
    """Whether the region is marked; the name is one of evidence.NAMES."""
    holding = _holding(e, name)
    if holding:
        return f"{capital(NAMES[holding])} is marked as manipulated, and {NAMES[name]} with it."
    return f"{capital(NAMES[name])} is {'' if name in e.named else 'not '}marked as manipulated."


def pair(e: Evidence, names: tuple[str, str]) -> str:
    """Both eyes, cheeks or sides of the jaw: a sentence each, or one where a named whole or center holds both."""
    holding = _holding(e, names[0])
    if holding:
        return f"{capital(NAMES[holding])} is marked as manipulated, and {listed([NAMES[n] for n in names])} with it."
    return f"{region(e, names[0])} {region(e, names[1])}"


def other_part(part: str) -> str:
    """A part of the picture on which the detector does not report; with its article."""
    return f"I cannot say anything about {part}: the detector does not report on it."


ANSWERS = {
    "verdict": verdict, "where": where, "sure": sure, "extent": extent, "why": why, "next": next_step, "limits": limits, "meaning": meaning,
    "pushback": pushback, "leading": leading, "leading-agreeing": why, "injection": injection, "unknown": unknown, "off-topic": off_topic,
    "thanks": thanks, "hello": hello,
}  # fmt: skip


def answer(kind: str, e: Evidence, by_strength: bool = False) -> str:
    """The sentence for a kind that needs no region or part. `by_strength`: regions in the evidence's own order."""
    regions = regions_listed(e.named if by_strength else by_slot(e.named)) if e.named else ""
    return ANSWERS[kind](e, regions)
