"""The arms of a study: what is done about the few people who have the rhythm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

#: How the strips of a batch are drawn: as they come, or both classes equally often.
Drawing = Literal["as they come", "equally often"]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What one arm does.

    Attributes
    ----------
    title : str
    draw : {"as they come", "equally often"}
    weighted : bool
        Errors on the rare class weigh as much more as it is rarer.
    chain : bool
        Classical augmentation: the transforms of `ecgsynth.augment.default_chain`.
    mixup : bool
        Convex combinations of strips and labels (Zhang et al., ICLR 2018; alpha 0.2).
    smote : bool
        The last layer is trained again with interpolated vectors of the rare class (Chawla et al., JAIR 16,
        2002; in embedding space as Dablain et al., IEEE TNNLS 34, 2023).
    synthetic : {"", "both", "positive", "shuffled", "ungated", "jittered"}
        Which synthetic strips are mixed in: of both classes, only of the rare one, with shuffled labels,
        without the gate, or copies of training strips with noise in their place.
    real : bool
        Whether real strips are trained on.
    everyone : bool
        All training people with the rhythm, however many the regime allows.
    frozen : bool
        The encoder keeps its random weights; only the last layer learns.
    swept : bool
        Run at every ratio; the others that need one take that which validation chose for ``synthetic``.
    control : bool
        Run with the seeds of the sweep only, and for the learned generator that validation found best:
        what is no rival of the claim.
    """

    title: str
    draw: Drawing = "equally often"
    weighted: bool = False
    chain: bool = False
    mixup: bool = False
    smote: bool = False
    synthetic: Literal["", "both", "positive", "shuffled", "ungated", "jittered"] = ""
    real: bool = True
    everyone: bool = False
    frozen: bool = False
    swept: bool = False
    control: bool = False

    @property
    def chooses(self) -> bool:
        """Whether it takes the ratio that validation chose."""
        return bool(self.synthetic) and self.real and not self.swept and self.synthetic != "jittered"


ARMS: Final[dict[str, Arm]] = {
    "none": Arm(title="nothing", draw="as they come"),
    "weights": Arm(title="class weights", draw="as they come", weighted=True),
    "oversampling": Arm(title="oversampling"),
    "smote": Arm(title="SMOTE on embeddings", smote=True, control=True),
    "mixup": Arm(title="mixup", mixup=True, control=True),
    "classical": Arm(title="classical augmentation", chain=True),
    "synthetic": Arm(title="synthetic", synthetic="both", swept=True),
    "classical+synthetic": Arm(title="classical and synthetic", chain=True, synthetic="both"),
    "positives-only": Arm(title="synthetic, only of the rhythm", synthetic="positive", control=True),
    "synthetic-only": Arm(title="synthetic only (TSTR)", synthetic="both", real=False),
    "shuffled": Arm(title="control: synthetic, labels shuffled", synthetic="shuffled", control=True),
    "jittered": Arm(title="control: jittered copies instead", synthetic="jittered", control=True),
    "ungated": Arm(title="synthetic without the gate", synthetic="ungated", control=True),
    "everyone": Arm(title="all real people (oracle)", everyone=True),
    "random-encoder": Arm(title="random encoder", frozen=True, control=True),
}
#: What a learned generator has to beat, the parametric simulator aside.
BASELINES: Final = ("weights", "oversampling", "classical")
