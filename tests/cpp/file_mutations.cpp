#include "file_mutations.h"

#include <cstring>

#include "control_programs.h"
#include "ferrule/session.h"
#include "runtime/format/container.h"
#include "runtime/format/model_generated.h"

namespace ferrule::test {
namespace {

namespace fb = ::flatbuffers;

// --- what the fields of the metadata are, and where

// Fills a Fields.
class Finder {
 public:
  Finder(const Bytes& file, Fields& found) : base_(file.data()), found_(found) {
    const auto* m = file::GetModel(file.data());
    using file::Arg, file::Blob, file::Constant, file::Graph, file::Node;
    each(m->symbols(), [&](const file::Symbol* s) {
      scalars(s, {{file::Symbol::VT_MIN, 8},
                  {file::Symbol::VT_MAX, 8},
                  {file::Symbol::VT_MULTIPLE, 8},
                  {file::Symbol::VT_OF, 4},
                  {file::Symbol::VT_FACTOR, 8},
                  {file::Symbol::VT_OFFSET, 8}});
    });
    each(m->segments(), [&](const file::Segment* s) {
      scalars(s, {{file::Segment::VT_OFFSET, 8}, {file::Segment::VT_SIZE, 8}});
    });
    each(m->ops(), [&](const file::OpCode* o) {
      scalars(o, {{file::OpCode::VT_VERSION, 2}});
    });
    each(m->constants(), [&](const Constant* c) {
      scalars(c, {{Constant::VT_TRAINABLE, 1}});
      blob(c->data());
    });
    each(m->goldens(), [&](const file::Golden* g) {
      each(g->inputs(), [&](const Blob* b) { blob(b); });
      each(g->outputs(), [&](const Blob* b) { blob(b); });
    });
    each(m->signatures(), [&](const file::Signature* s) {
      scalars(s, {{file::Signature::VT_GRAPH, 4}});
      structs(s->state_updates(), {4, 4});
    });
    each(m->graphs(), [&](const Graph* g) {
      elements(g->inputs());
      elements(g->outputs());
      structs(g->exprs(), {8, 4, 4, 1, 1, 6});
      each(g->values(), [&](const file::Value* v) {
        scalars(v, {{file::Value::VT_DTYPE, 1},
                    {file::Value::VT_ROLE, 1},
                    {file::Value::VT_CONSTANT, 4},
                    {file::Value::VT_ALIAS_OF, 4}});
        structs(v->dims(), {8, 4, 4});
      });
      each(g->nodes(), [&](const Node* n) {
        scalars(n, {{Node::VT_OP, 4}});
        elements(n->outputs());
        elements(n->regions());
        each(n->args(), [&](const Arg* a) {
          scalars(
              a,
              {{Arg::VT_TYPE, 1}, {Arg::VT_INTEGER, 8}, {Arg::VT_NUMBER, 8}});
          structs(a->integers(), {8, 4, 4});
          elements(a->tensors());
        });
      });
    });
  }

 private:
  void add(const void* p, size_t size) {
    found_.slots.push_back(
        {static_cast<size_t>(static_cast<const std::byte*>(p) - base_), size});
  }
  template <class T, class F>
  void each(const fb::Vector<fb::Offset<T>>* v, const F& visit) {
    if (!v) return;
    const auto first = static_cast<size_t>(
        reinterpret_cast<const std::byte*>(v->Data()) - base_);
    for (fb::uoffset_t i = 0; i < v->size(); ++i) {
      found_.links.push_back({first + 4 * i, first, v->size()});
      visit(v->Get(i));
    }
  }
  void scalars(const void* table,
               std::initializer_list<std::pair<int, size_t>> fields) {
    const auto* t = static_cast<const fb::Table*>(table);
    for (auto [field, size] : fields) {
      const auto* p = t->GetAddressOf(static_cast<fb::voffset_t>(field));
      if (p) add(p, size);
    }
  }
  template <class T>
  void structs(const fb::Vector<const T*>* v,
               std::initializer_list<size_t> sizes) {
    if (!v) return;
    const auto* p = reinterpret_cast<const std::byte*>(v->Data());
    for (fb::uoffset_t i = 0; i < v->size(); ++i) {
      for (size_t size : sizes) {
        if (size != 6) add(p, size);  // 6: padding
        p += size;
      }
    }
  }
  template <class T>
  void elements(const fb::Vector<T>* v) {
    if (!v) return;
    const auto* p = reinterpret_cast<const std::byte*>(v->Data());
    for (fb::uoffset_t i = 0; i < v->size(); ++i)
      add(p + i * sizeof(T), sizeof(T));
  }
  void blob(const file::Blob* b) {
    elements(b->shape());
    scalars(b, {{file::Blob::VT_DTYPE, 1}, {file::Blob::VT_PACKING, 1}});
    const auto* p = reinterpret_cast<const std::byte*>(b->extent());
    add(p, 8);
    add(p + 8, 8);
    add(p + 16, 4);
  }

  const std::byte* base_;
  Fields& found_;
};

}  // namespace

Fields::Fields(const Bytes& file) { Finder(file, *this); }

bool is_well_formed(const Bytes& file) {
  if (file.size() < file::kHeaderBytes) return false;
  try {
    const file::Header h = file::parse_header(file.data(), file.size());
    fb::Verifier verifier(reinterpret_cast<const uint8_t*>(file.data()),
                          h.metadata_size);
    if (!verifier.VerifyBuffer<file::Model>("FER1")) return false;
  } catch (const Error&) {
    return false;
  }
  const Fields fields(file);
  return !fields.slots.empty() && !fields.links.empty();
}

namespace {

// --- mutations

uint64_t hostile_number(Random& r) {
  static constexpr uint64_t kEdges[] = {0,
                                        1,
                                        2,
                                        7,
                                        uint64_t{0} - 1,
                                        uint64_t{0} - 2,
                                        255,
                                        256,
                                        0x7FFFFFFF,
                                        0x80000000,
                                        0xFFFFFFFF,
                                        1ull << 40,
                                        1ull << 56,
                                        1ull << 62,
                                        0x7FFFFFFFFFFFFFFF,
                                        0x8000000000000000,
                                        64,
                                        65536};
  return r.below(2) ? r.below(12) : kEdges[r.below(std::size(kEdges))];
}

uint64_t metadata_size(const Bytes& file) {
  uint64_t n;
  std::memcpy(&n, file.data() + 24, 8);
  return n;
}

void write_checksums(Bytes& file) {
  file::Header h;
  std::memcpy(&h.metadata_size, file.data() + 24, 8);
  std::memcpy(&h.data_offset, file.data() + 32, 8);
  std::memcpy(&h.data_size, file.data() + 40, 8);
  file::write_header(file.data(), h);
}

void flip_bytes(Bytes& file, uint64_t first, uint64_t n, Random& r) {
  for (uint64_t k = 1 + r.below(6); k; --k) {
    file[first + r.below(n)] ^= static_cast<std::byte>(1 + r.below(255));
  }
}

void set_number(Bytes& file, uint64_t at, uint64_t size, Random& r) {
  const uint64_t v = hostile_number(r);
  std::memcpy(file.data() + at, &v, size);
}

}  // namespace

void mutate(Bytes& file, const Fields& fields, Random& r) {
  const uint64_t meta = metadata_size(file);
  switch (r.below(8)) {
    case 0:
      flip_bytes(file, 0, file.size(), r);
      return;
    case 1:
      file.resize(r.below(file.size() + 100));
      return;
    case 2:  // past the checksums
      flip_bytes(file, 64, meta - 64, r);
      break;
    case 3:
      set_number(file, 64 + 4 * r.below((meta - 64) / 4 - 1), 4, r);
      break;
    case 4: {  // a header that is sealed, but lies
      const uint64_t at = 24 + 8 * r.below(3);
      Bytes before(file.begin() + 24, file.begin() + 48);
      set_number(file, at, 8, r);
      if (r.below(2) && metadata_size(file) <= file.size() &&
          metadata_size(file) >= 64) {
        break;
      }
      return;
    }
    case 5: {  // a table takes the place of a sibling
      const Link& l = fields.links[r.below(fields.links.size())];
      const uint64_t other = l.siblings + 4 * r.below(l.count);
      uint32_t offset;
      std::memcpy(&offset, file.data() + other, 4);
      offset += static_cast<uint32_t>(other - l.offset);
      std::memcpy(file.data() + l.offset, &offset, 4);
      break;
    }
    default:
      for (uint64_t k = 1 + r.below(3); k; --k) {
        const Slot& s = fields.slots[r.below(fields.slots.size())];
        set_number(file, s.offset, s.size, r);
      }
  }
  write_checksums(file);
}

void seal(Bytes& file) {
  if (file.size() < file::kHeaderBytes) return;
  const uint64_t meta = metadata_size(file);
  if (meta >= file::kHeaderBytes && meta <= file.size()) write_checksums(file);
}

// --- what accepted files do

namespace {

void run_all(const std::shared_ptr<const Program>& program, Tally& tally) {
  SessionOptions options;
  options.max_memory = 16 << 20;
  options.max_steps = 1000;
  Session session(program, options);
  for (const Signature& s : program->signatures) {
    const Graph& g = program->graphs[s.graph];
    try {
      std::vector<Tensor> inputs;
      for (int32_t id : g.inputs) {
        const Value& v = g.values[id];
        Dims shape;
        for (const DimSpec& d : v.dims) shape.push(d.value);
        if (checked_numel(shape) > 1 << 16) return;
        inputs.push_back(Tensor::empty(shape, v.dtype));
        std::memset(inputs.back()->bytes(), 1,
                    static_cast<size_t>(inputs.back()->nbytes()));
      }
      if (session.prepare(s.key, inputs).elements > 1 << 20) continue;
      session.run(s.key, inputs);
      session.run(s.key, inputs);
      ++tally.ran;
    } catch (const Error& e) {
      tally.last_error = e.what();
      tally.unexplained += tally.last_error.size() <= 10;
      ++tally.failed_to_run;
    }
  }
}

}  // namespace

void load_and_run(std::span<const std::byte> file, Tally& tally) {
  std::shared_ptr<const Program> program;
  try {
    program = load_program(file);
  } catch (const Error& e) {
    tally.unexplained += std::strlen(e.what()) <= 10;
    ++tally.refused;
    return;
  }
  ++tally.accepted;
  run_all(program, tally);
}

// --- files to start from

namespace {

Tensor indices(std::initializer_list<int64_t> values) {
  Tensor t = Tensor::empty({static_cast<int64_t>(values.size())}, DType::i64);
  std::copy(values.begin(), values.end(), t.data<int64_t>());
  return t;
}

// Convolution, pooling, softmax, gather, views with computed sizes, dropout.
Program image_program() {
  Program p;
  p.symbols.push_back({"batch", 1, 16, 1});
  GraphBuilder b(p, "forward");
  const int32_t x =
      b.input("x", DType::f32, {{2, 0, false}, {1, -1}, {6, -1}, {6, -1}});
  const int32_t w = b.constant("conv.weight", ramp({2, 1, 3, 3}));
  const int32_t c = b.node(
      "conv2d",
      {{"input", ref(x)}, {"weight", ref(w)}, {"padding", ints({1, 1})}});
  const int32_t q =
      b.node("max_pool2d", {{"input", ref(c)}, {"kernel_size", ints({2, 2})}});
  const int32_t n = b.size_expr(q, 0), ch = b.size_expr(q, 1);
  const int32_t h = b.size_expr(q, 2);
  const int32_t row = b.op_expr(IntOp::mul, ch, b.op_expr(IntOp::mul, h, h));
  const int32_t f =
      b.node("reshape",
             {{"input", ref(q)}, {"shape", ints({Int(2, n), Int(18, row)})}});
  const int32_t d =
      b.node("native_dropout", {{"input", ref(f)}, {"p", real(0.25)}});
  const int32_t t = b.node(
      "transpose", {{"input", ref(d)}, {"dim0", num(0)}, {"dim1", num(1)}});
  const int32_t i = b.constant("rows", indices({0, 3, 5}));
  const int32_t s = b.node(
      "index_select", {{"input", ref(t)}, {"dim", num(0)}, {"index", ref(i)}});
  const int32_t u = b.node("softmax", {{"input", ref(s)}, {"dim", num(0)}});
  const int32_t j = b.node("cat", {{"tensors", refs({u, s})}, {"dim", num(0)}});
  b.output("y", j);
  b.output("mean",
           b.node("mean", {{"input", ref(j)}, {"keepdim", flag(true)}}));
  b.finish();
  return p;
}

}  // namespace

std::vector<Bytes> seed_files() {
  Program checked = linear_program();
  checked.goldens.push_back({"forward", {ramp({2, 3})}, {ramp({2, 2})}});
  return {write_program(checked), write_program(training_program()),
          write_program(image_program()), write_program(control_program())};
}

}  // namespace ferrule::test
