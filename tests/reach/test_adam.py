"""Adam is that of PyTorch, to the last digit."""

import torch

from surefoot.reach.adam import Adam


def test_steps_are_those_of_pytorch() -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(3, 4, generator=generator) for _ in range(3)]
    ours, theirs = ([x.clone().requires_grad_() for x in start] for _ in range(2))
    adam = Adam([(ours[:1], 0.25), (ours[1:], 0.05)])
    other = torch.optim.Adam([{"params": theirs[:1]}, {"params": theirs[1:], "lr": 0.05}], lr=0.25)
    for turn in range(30):
        for variables, forget in ((ours, adam.clear), (theirs, other.zero_grad)):
            forget()
            used = variables[:2] if turn % 3 else variables  # one has no gradient now and then
            sum((x**2 * (i + 1)).sum() + x.sin().sum() for i, x in enumerate(used)).backward()  # pyright: ignore[reportAttributeAccessIssue]
        adam.step(0.96**turn)
        other.step()
        for group in other.param_groups:
            group["lr"] *= 0.96
    for one, two in zip(ours, theirs, strict=True):
        assert torch.allclose(one, two, rtol=1e-5, atol=1e-6)
        assert not torch.equal(one, start[0])
