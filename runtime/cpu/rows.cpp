// Visiting rows: chunks, copies where rows are not dense or of 16 bits.
#include "runtime/cpu/rows.h"

#include "runtime/core/thread_pool.h"

namespace ferrule::cpu {
namespace {

constexpr int64_t kMaxRowChunks = 32;
constexpr int64_t kGrain = 16384;  // elements

Layout row_layout(const TensorImpl& t, int dim) {
  Order order;
  for (int d = 0; d < t.ndim; ++d) {
    if (d != dim) order.push(d);
  }
  if (dim >= 0) order.push(dim);
  return layout_of(t, order);
}

}  // namespace

RowPlan::RowPlan(std::span<const int64_t> shape, int dim, DType t)
    : dim(shape.empty() ? -1 : dim), dtype(t) {
  if (shape.empty()) return;
  length = shape[dim];
  for (size_t d = 0; d < shape.size(); ++d) {
    if (static_cast<int>(d) != dim) rows *= shape[d];
    if (static_cast<int>(d) > dim) inner *= shape[d];
  }
}

RowPlan::RowPlan(int64_t numel, int64_t length, DType t)
    : rows(length == 0 ? 0 : numel / length), length(length), dtype(t) {}

int64_t RowPlan::grain() const {
  const int64_t enough = kGrain / std::max<int64_t>(1, length) + 1;
  return std::max(enough, (rows + kMaxRowChunks - 1) / kMaxRowChunks);
}

int64_t RowPlan::chunks() const { return chunk_count(rows, grain()); }

int64_t RowPlan::scratch_bytes(int tensors, bool same) const {
  if (same && inner == 1) return 0;
  return chunks() * tensors * align64(length * itemsize(dtype));
}

void each_row(const RowPlan& plan, const TensorImpl* out,
              std::span<const TensorImpl* const> in, void* scratch,
              FunctionRef<void(const Row&)> visit) {
  if (plan.rows == 0 || plan.length == 0) return;
  Reader readers[kMaxRowTensors];
  for (size_t k = 0; k < in.size(); ++k) {
    if (!in[k]) continue;
    readers[k] = Reader(*in[k], row_layout(*in[k], plan.dim), plan.dtype);
  }
  Writer writer;
  if (out) writer = Writer(*out, row_layout(*out, plan.dim), plan.dtype);
  const int64_t bytes = align64(plan.length * itemsize(plan.dtype));
  if (out && bytes <= int64_t{sizeof(TileBuffer)}) writer.stream_if_large();
  const int64_t buffers = static_cast<int64_t>(in.size()) + 1;
  const int64_t chunk_rows = chunk_size(plan.rows, plan.grain());
  parallel_for(plan.rows, plan.grain(), [&](int64_t begin, int64_t end) {
    Row row;
    row.chunk = begin / chunk_rows;
    char* buffer = static_cast<char*>(scratch) + row.chunk * buffers * bytes;
    Reader own[kMaxRowTensors];
    Writer result = writer;
    TileBuffer tile;  // for a row that is written past the caches
    for (size_t k = 0; k < in.size(); ++k) {
      if (!in[k]) continue;
      own[k] = readers[k];
      own[k].seek(begin * plan.length);
    }
    if (out) result.seek(begin * plan.length);
    for (row.index = begin; row.index < end; ++row.index) {
      char* free = buffer;
      for (size_t k = 0; k < in.size(); ++k) {
        row.in[k] = in[k] ? own[k].next(plan.length, free) : nullptr;
        free += bytes;
      }
      if (result.streams()) free = tile.bytes;
      row.out = out ? result.place(plan.length, free) : nullptr;
      const bool past_caches = plan.past_caches && result.streams_in_place();
      row.past_caches = past_caches ? result.here() : nullptr;
      visit(row);
      if (row.past_caches) {
        result.done(row.past_caches, plan.length);
        continue;
      }
      Ahead ahead[kMaxRowTensors];
      if (result.streams()) {
        for (size_t k = 0; k < in.size(); ++k) {
          ahead[k] = own[k].ahead(in[k] ? plan.length : 0);
        }
      }
      if (out) {
        result.done(row.out, plan.length, ahead, static_cast<int>(in.size()));
      }
    }
    result.finish();
  });
}

const void* dense_values(const TensorImpl& tensor, DType t, void* buffer) {
  Order order;
  for (int d = 0; d < tensor.ndim; ++d) order.push(d);
  Reader reader(tensor, layout_of(tensor, order), t);
  return tensor.numel == 0 ? buffer : reader.next(tensor.numel, buffer);
}

}  // namespace ferrule::cpu
