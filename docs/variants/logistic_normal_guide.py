"""A guide of LDA whose q(theta) is logistic normal (Srivastava & Sutton, 2017)."""

from pyro.distributions import LogisticNormal
from torch.nn.functional import softplus

from exvae.guides.lda import ExchangeableGuide


class LogisticNormalGuide(ExchangeableGuide):
    """Reads a document as a set of words, and answers with a logistic normal."""

    def __init__(self, model, **options):
        super().__init__(model, output_size=2 * (model.num_topics - 1), **options)

    def document_topics(self, words, offsets):
        """q(theta), batch shape (documents,), event shape (topics,)."""
        location, scale = self.encode(words, offsets).chunk(2, -1)
        return LogisticNormal(location, softplus(scale) + 0.01)

    def mean_topics(self, document_topics):
        """E[theta], which has no closed form, shape (documents, topics)."""
        return document_topics.sample((100,)).mean(0)
