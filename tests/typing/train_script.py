"""A typical training script, which strict type checkers are to accept."""

from __future__ import annotations

import ferrule as fe
from ferrule import nn
from ferrule.nn import functional as F
from ferrule.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.head = nn.Linear(8 * 16, classes)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: fe.Tensor) -> fe.Tensor:
        return self.head(self.dropout(self.features(x).flatten(1)))


def accuracy(model: Net, loader: DataLoader) -> float:
    model.eval()
    right = total = 0
    with fe.no_grad():
        for x, y in loader:
            right += int((model(x).argmax(1) == y).sum().item())
            total += len(y)
    model.train()
    return right / total


def main() -> None:
    fe.manual_seed(0)
    x, y = fe.rand(64, 1, 8, 8), fe.randint(0, 10, (64,))
    loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
    model = Net(10)
    optimizer = fe.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    scheduler = fe.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    print(model.summary(x[:1]).total_params)
    writer = fe.utils.tensorboard.SummaryWriter("runs/x")
    log = fe.utils.logging.CSVLogger("log.csv")
    checkpoints = fe.utils.Checkpoints("ckpt", model=model, optimizer=optimizer)
    step = checkpoints.resume()
    with fe.profiler.profile() as prof:
        for _ in fe.progress(range(2), "epoch"):
            bar = fe.progress(loader)
            for images, labels in bar:
                loss = F.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                step += 1
                bar.set(loss=loss)
                log.log(step=step, loss=loss)
                writer.add_scalar("loss", loss, step)
            scheduler.step()
            checkpoints.save(step)
    print(prof.key_averages().table(row_limit=5))
    print(f"{accuracy(model, loader):.3f}")
    y2 = fe.where(x > 0.5, x, fe.zeros_like(x)).mean(dim=(2, 3))
    z = fe.cat([y2, y2 * 2], dim=1) @ fe.ones(2, 3) - 1.0
    print(z.shape[0], z.numpy().mean(), fe.linalg.norm(z))
    program = fe.export(model, (x,), dynamic_shapes=({0: "batch"},))
    program.save("net.fer")
    fe.save(model.state_dict(), "net.safetensors")
    model.load_state_dict(fe.load("net.safetensors"))
    act = F.gelu(F.linear(fe.rand(2, 3), fe.rand(4, 3))) + fe.special.erf(fe.rand(4))
    print(act.shape, fe.memory_stats()["allocated"], F.one_hot(y, 10).dtype)
    attended = F.scaled_dot_product_attention(fe.rand(2, 3), z, z, is_causal=True)
    print(F.relu_(F.leaky_relu(attended, 0.1)), F.normalize(z).abs().max().item())
    print(F.conv2d(x, fe.rand(2, 1, 3, 3), padding="same").shape, complex(z[0, 0]))
    print(fe.signal.windows.hann(4).shape)
    (gradient,) = fe.autograd.grad(z.sum(), [x], allow_unused=True)
    print(gradient is None, z.max(), z.max(1)[1], z.item() if z.numel() == 1 else 0)
    found = fe.utils.lr_find(model, optimizer, F.cross_entropy, loader)
    print(found.suggestion, fe.device("cpu"), fe.float32, z.to(fe.float64).dtype)
    fe.utils.plot.curves("log.csv", "loss", smooth=0.9)
    out, (h, c) = nn.LSTM(3, 4)(fe.rand(5, 2, 3))
    print(out.shape, h.shape, c.shape)


if __name__ == "__main__":
    main()
