"""Master weights: AdamW in float32 over a module that may compute in bfloat16."""

from collections.abc import Iterator, Mapping

import torch
from accelerate.utils import reduce
from torch import Tensor, nn


class MasterWeights:
    """AdamW on float32 copies of a module's parameters, which may compute in bfloat16."""

    def __init__(self, module: nn.Module, rates: Mapping[nn.Parameter, float], weight_decay: float, warmup: float, steps: int) -> None:
        """Copy the parameters that have a rate.

        Args:
            rates: highest learning rate of each parameter.
            warmup: share of the steps on which the rates rise; they fall linearly afterwards.
            steps: of the whole training.
        """
        self.rates = rates
        self.masters = {name: parameter.detach().to(torch.float32, copy=True) for name, parameter in self._named(module)}
        groups = [{"params": [self.masters[name]], "lr": self.rates[parameter]} for name, parameter in self._named(module)]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=weight_decay, fused=True)
        self.module, self.steps, self.rising, self.done = module, steps, max(1, int(warmup * steps)), 0

    def _named(self, module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, parameter) for name, parameter in module.named_parameters() if parameter in self.rates)

    @torch.no_grad()
    def step(self) -> None:
        """Move the masters by the gradients that the module holds, clipped to a norm of 1, and copy them back."""
        for name, parameter in self._named(self.module):
            # With several processes each has read other articles; with one `reduce` returns what it was given.
            self.masters[name].grad = None if parameter.grad is None else reduce(parameter.grad.to(torch.float32), "mean")
            parameter.grad = None
        nn.utils.clip_grad_norm_(self.masters.values(), 1.0)
        share = min((self.done + 1) / self.rising, max(0.0, self.steps - self.done) / max(1, self.steps - self.rising))
        for group, rate in zip(self.optimizer.param_groups, self._rates(), strict=True):
            group["lr"] = rate * share
        self.optimizer.step()
        self.done += 1
        self.write_back()

    def _rates(self) -> Iterator[float]:
        return (self.rates[parameter] for _, parameter in self._named(self.module))

    @torch.no_grad()
    def write_back(self) -> None:
        """Copy the masters into the module."""
        for name, parameter in self._named(self.module):
            parameter.copy_(self.masters[name])

    def state(self) -> dict[str, Tensor]:
        """Masters and moments, by name, for a checkpoint."""
        found = dict(self.masters)
        for name, master in self.masters.items():
            found |= {f"{key}/{name}": value for key, value in self.optimizer.state[master].items()}
        return found

    def load_masters(self, masters: Mapping[str, Tensor]) -> None:
        """Take these masters, by name, into the module."""
        with torch.no_grad():
            for name, master in self.masters.items():
                master.copy_(masters[name])
        self.write_back()

    def restore(self, state: Mapping[str, Tensor], done: int) -> None:
        """Go on from what `state` gave after `done` steps."""
        for name, master in self.masters.items():
            self.optimizer.state[master] = {
                key: state[f"{key}/{name}"].to(master.device) for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}/{name}" in state
            }
        self.done = done
        self.load_masters(state)
