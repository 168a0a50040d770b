// File -> Program. The FlatBuffers verifier has the first word; then every
// field is range-checked while it is copied. What the parts must satisfy
// together is checked by runtime/graph/check.cpp.
#include <algorithm>
#include <cmath>

#include "ferrule/program.h"
#include "runtime/format/container.h"
#include "runtime/format/model_generated.h"
#include "runtime/format/source.h"

namespace ferrule {
namespace {

namespace fb = ::flatbuffers;

constexpr uint64_t kMaxTables = 1'000'000;
constexpr size_t kMaxArgText = 256;  // strings that ops take, such as "mean"

const file::Model* verified_root(const std::byte* bytes, uint64_t size) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes);
  fb::Verifier verifier(
      data, size, 32,
      static_cast<fb::uoffset_t>(std::min(kMaxTables, 8 * size)));
  if (!verifier.VerifyBuffer<file::Model>("FER1")) {
    fail<FormatError>("the metadata is not a valid FlatBuffer");
  }
  return file::GetModel(data);
}

// UTF-8 without control characters other than tab and newline.
bool is_text(std::string_view s) {
  for (size_t i = 0; i < s.size();) {
    const auto c = static_cast<unsigned char>(s[i]);
    const int more = c < 0x80             ? 0
                     : (c & 0xE0) == 0xC0 ? 1
                     : (c & 0xF0) == 0xE0 ? 2
                     : (c & 0xF8) == 0xF0 ? 3
                                          : -1;
    if (more < 0 || c == 0x7F || (c < 0x20 && c != '\t' && c != '\n')) {
      return false;
    }
    uint32_t code = more == 0 ? c : c & (0x3F >> more);
    if (s.size() - i - 1 < static_cast<size_t>(more)) return false;
    for (int k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(s[i + k]);
      if ((next & 0xC0) != 0x80) return false;
      code = code << 6 | (next & 0x3F);
    }
    constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (code < kLeast[more] || code > 0x10FFFF ||
        (code >= 0xD800 && code < 0xE000)) {
      return false;
    }
    i += 1 + more;
  }
  return true;
}

class Reader {
 public:
  explicit Reader(std::shared_ptr<FileSource> source)
      : source_(std::move(source)), program_(std::make_shared<Program>()) {}

  std::shared_ptr<const Program> read(Verify verify) {
    header_ = file::parse_header(source_->data(), source_->size());
    model_ = verified_root(source_->data(), header_.metadata_size);
    read_segments();
    read_symbols();
    read_constants();
    read_ops();
    const auto* graphs = required(model_->graphs(), "graphs");
    if (graphs->size() > file::kMaxGraphs) {
      fail<FormatError>(graphs->size(), " graphs; at most ", file::kMaxGraphs);
    }
    for (const file::Graph* g : *graphs) read_graph(*required(g, "graph"));
    read_signatures();
    read_goldens();
    close_segments();
    read_rest();
    check_bytes(verify);
    source_->set_checksums(std::move(crcs_));
    program_->source = source_;
    check_program(*program_);
    return program_;
  }

 private:
  template <class T>
  static const T* required(const T* p, const char* what) {
    if (!p) fail<FormatError>("missing ", what);
    return p;
  }

  // The FlatBuffers verifier looks at where a vector's length stands, not at
  // its elements: those of 8 bytes may be out of step.
  template <class T>
  static const T* aligned(const T* vector, const char* what) {
    if (vector && vector->size() > 0 &&
        reinterpret_cast<uintptr_t>(vector->Data()) % 8 != 0) {
      fail<FormatError>("misaligned ", what);
    }
    return vector;
  }

  static std::string text(const fb::String* s, const char* what) {
    if (!s) return {};
    if (s->size() > file::kMaxString) {
      fail<FormatError>(what, " of ", s->size(), " bytes; at most ",
                        file::kMaxString, " are allowed");
    }
    if (!is_text(s->string_view())) {
      fail<FormatError>(what, " is not valid UTF-8 text");
    }
    return s->str();
  }
  static std::string name_text(const fb::String* s, const char* what) {
    std::string out = text(required(s, what), what);
    if (out.empty()) fail<FormatError>("empty ", what);
    return out;
  }

  template <class Enum>
  static Enum in_enum(Enum value, Enum last, const char* what) {
    if (static_cast<uint32_t>(value) > static_cast<uint32_t>(last)) {
      fail<FormatError>("unknown ", what, " ", static_cast<uint32_t>(value));
    }
    return value;
  }
  static DType dtype(file::DType t) {
    return static_cast<DType>(in_enum(t, file::DType::MAX, "dtype"));
  }

  static std::vector<int32_t> ids(const fb::Vector<int32_t>* v) {
    return v ? std::vector<int32_t>(v->begin(), v->end())
             : std::vector<int32_t>();
  }

  // --- data: segments follow each other, and blobs within them, without holes

  void read_segments() {
    uint64_t at = 0;
    if (model_->segments()) {
      for (const file::Segment* s : *model_->segments()) {
        required(s, "segment");
        if (s->shard()) {
          fail<FormatError>("its weights are in the shard file '",
                            text(s->shard(), "shard"),
                            "'; this runtime reads models of one file only");
        }
        if (s->offset() != file::align_up(at, file::kSegmentAlign) ||
            s->size() > header_.data_size ||
            s->offset() > header_.data_size - s->size()) {
          fail<FormatError>("segment '", text(s->label(), "label"), "' at ",
                            s->offset(), " + ", s->size(),
                            " overlaps, leaves a hole or leaves the file");
        }
        at = s->offset() + s->size();
      }
      ends_.resize(model_->segments()->size(), 0);
    }
    if (at != header_.data_size) {
      fail<FormatError>("segments cover ", at, " of ", header_.data_size,
                        " bytes of data");
    }
  }

  Tensor read_blob(const file::Blob* blob, const std::string& what) {
    const auto* shape =
        aligned(required(required(blob, "blob")->shape(), "shape"), "shape");
    const file::Extent& extent = *required(blob->extent(), "extent");
    in_enum(blob->packing(), file::Packing::MAX, "packing");
    const DType type = dtype(blob->dtype());
    if (shape->size() > kMaxRank) {
      fail<FormatError>("'", what, "' has ", shape->size(),
                        " dimensions; at most ", kMaxRank, " are supported");
    }
    Dims dims;
    for (int64_t d : *shape) dims.push(checked_dim(d, what));
    const int64_t bytes = checked_numel(dims) * itemsize(type);
    if (extent.segment() >= ends_.size()) {
      fail<FormatError>("'", what, "' is in segment ", extent.segment(), " of ",
                        ends_.size());
    }
    uint64_t& end = ends_[extent.segment()];
    const file::Segment& s = *model_->segments()->Get(extent.segment());
    if (static_cast<uint64_t>(bytes) != extent.size()) {
      fail<FormatError>("'", what, "' of shape ", dims, " and dtype ", type,
                        " needs ", bytes, " bytes, the file gives it ",
                        extent.size());
    }
    if (extent.offset() != file::align_up(end, file::kTensorAlign) ||
        extent.size() > s.size() ||
        extent.offset() > s.size() - extent.size()) {
      fail<FormatError>("'", what, "' at ", extent.offset(), " + ",
                        extent.size(), " of its segment overlaps, leaves a ",
                        "hole or leaves the segment");
    }
    end = extent.offset() + extent.size();
    return tensor_in(source_,
                     header_.data_offset + s.offset() + extent.offset(), dims,
                     type);
  }

  void close_segments() {
    for (size_t i = 0; i < ends_.size(); ++i) {
      const uint64_t size = model_->segments()->Get(i)->size();
      if (ends_[i] != size) {
        fail<FormatError>("segment ", i, " has ", size,
                          " bytes, its blobs end at ", ends_[i]);
      }
    }
  }

  static int64_t checked_dim(int64_t d, const std::string& what) {
    if (d < 0 || d > file::kMaxDim) {
      fail<FormatError>("'", what, "' has a dimension of ", d,
                        "; valid: 0..2^40");
    }
    return d;
  }

  // --- tables

  void read_symbols() {
    if (!model_->symbols()) return;
    for (const file::Symbol* s : *model_->symbols()) {
      required(s, "symbol");
      program_->symbols.push_back({name_text(s->name(), "symbol"), s->min(),
                                   s->max(), s->multiple(), s->of(),
                                   s->factor(), s->offset()});
    }
  }

  void read_constants() {
    if (!model_->constants()) return;
    for (const file::Constant* c : *model_->constants()) {
      Constant& out = program_->constants.emplace_back();
      out.name = name_text(required(c, "constant")->name(), "constant name");
      out.data = read_blob(c->data(), out.name);
      out.trainable = c->trainable();
      crcs_.push_back(c->data()->extent()->crc32c());
    }
  }

  // Finds every op, and lists all that are missing or too new.
  void read_ops() {
    std::string missing;
    for (const file::OpCode* code : *required(model_->ops(), "ops")) {
      const std::string name =
          name_text(required(code, "op")->name(), "op name");
      const std::string domain = text(code->domain(), "op domain");
      const OpDef* op = domain.empty() ? find_op(name) : nullptr;
      ops_.push_back(op);
      if (op && code->version() == op->version) continue;
      if (!missing.empty()) missing += "; ";
      if (op) {
        append(missing,
               concat(name, " version ", code->version(),
                      " (this runtime has version ", op->version, ")"));
      } else {
        append(missing,
               concat(domain, domain.empty() ? "" : ".", name, " version ",
                      code->version(), " (this runtime has no such op)"));
      }
    }
    if (!missing.empty()) {
      fail<FormatError>(
          "the model needs ops that this runtime, version " FERRULE_VERSION
          ", lacks: ",
          missing, "; use a newer or a full build");
    }
  }

  void read_graph(const file::Graph& g) {
    Graph& out = program_->graphs.emplace_back();
    out.name = text(g.name(), "graph name");
    for (const file::Value* v : *required(g.values(), "values")) {
      read_value(*required(v, "value"), out);
    }
    if (g.exprs()) {
      for (const file::Expr* e : *aligned(g.exprs(), "expressions")) {
        Expr& x = out.exprs.emplace_back();
        x.kind = static_cast<Expr::Kind>(
            in_enum(e->kind(), file::ExprKind::MAX, "kind of expression"));
        x.op = static_cast<IntOp>(
            in_enum(e->op(), file::IntOp::MAX, "integer operation"));
        x.a = e->a();
        x.b = e->b();
        x.value = e->value();
      }
    }
    const auto* nodes = required(g.nodes(), "nodes");
    nodes_ += nodes->size();
    if (nodes_ > file::kMaxNodes) {
      fail<FormatError>("more than ", file::kMaxNodes, " nodes");
    }
    out.nodes.reserve(nodes->size());
    for (const file::Node* n : *nodes) read_node(*required(n, "node"), out);
    out.inputs = ids(required(g.inputs(), "inputs"));
    out.outputs = ids(required(g.outputs(), "outputs"));
  }

  void read_value(const file::Value& v, Graph& graph) {
    Value& out = graph.values.emplace_back();
    out.name = text(v.name(), "value name");
    out.dtype = dtype(v.dtype());
    out.role =
        static_cast<ValueRole>(in_enum(v.role(), file::Role::MAX, "role"));
    out.constant = v.constant();
    out.alias_of = v.alias_of();
    const auto* dims = aligned(required(v.dims(), "dims"), "dims");
    if (dims->size() > kMaxRank) {
      fail<FormatError>("a value has ", dims->size(), " dimensions; at most ",
                        kMaxRank, " are supported");
    }
    for (const file::Dim* d : *dims) {
      DimSpec& spec = out.dims.emplace_back();
      const file::DimKind kind =
          in_enum(d->kind(), file::DimKind::MAX, "kind of dimension");
      spec.value = checked_dim(d->value(), out.name);
      spec.fixed = kind == file::DimKind::fixed;
      if (kind != file::DimKind::symbol) continue;
      spec.symbol = d->symbol();
      if (spec.symbol < 0 ||
          static_cast<size_t>(spec.symbol) >= program_->symbols.size()) {
        fail<FormatError>("'", out.name, "' has a dimension of symbol ",
                          spec.symbol, " of ", program_->symbols.size());
      }
    }
  }

  void read_node(const file::Node& n, Graph& graph) {
    if (n.op() >= ops_.size()) {
      fail<FormatError>("a node has op ", n.op(), " of ", ops_.size());
    }
    Node& out = graph.nodes.emplace_back();
    out.op = ops_[n.op()];
    out.where = text(n.where(), "source location");
    const Schema& schema = info_of(*out.op).schema;
    out.args.resize(schema.n);
    for (const file::Arg* a : *required(n.args(), "arguments")) {
      const std::string name =
          name_text(required(a, "argument")->name(), "argument name");
      const int i = schema.find(name);
      if (i < 0) {
        fail<FormatError>("[", out.op->name, "] has no parameter '", name, "'");
      }
      if (out.args[i].tag != ArgTag::none) {
        fail<FormatError>("[", out.op->name, "] '", name, "' is given twice");
      }
      read_arg(*a, out.args[i], *out.op);
    }
    out.outputs = ids(required(n.outputs(), "results"));
    if (n.regions()) out.regions = ids(n.regions());
  }

  static void read_arg(const file::Arg& a, NodeArg& out, const OpDef& op) {
    out.tag = static_cast<ArgTag>(
        in_enum(a.type(), file::ArgType::MAX, "type of argument"));
    const bool number = out.tag == ArgTag::tensor || out.tag == ArgTag::int_ ||
                        out.tag == ArgTag::bool_ || out.tag == ArgTag::dtype;
    const int64_t value =
        number ? required(a.integer(), "number of an argument")->value() : 0;
    switch (out.tag) {
      case ArgTag::none:
        break;
      case ArgTag::tensor:
        out.value =
            value >= 0 && value <= INT32_MAX ? static_cast<int32_t>(value) : -1;
        break;
      case ArgTag::int_:
        out.i = value;
        out.expr = a.integer()->expr();
        break;
      case ArgTag::bool_:
        out.b = value != 0;
        break;
      case ArgTag::dtype:
        if (value < 0 || value >= kDTypeCount) {
          fail<FormatError>("unknown dtype ", value);
        }
        out.dtype = static_cast<DType>(value);
        break;
      case ArgTag::float_:
        out.f = a.number();
        break;
      case ArgTag::tensors:
        out.values = ids(required(a.tensors(), "tensors of an argument"));
        break;
      case ArgTag::ints:
        for (const file::Integer* v :
             *aligned(required(a.integers(), "numbers of an argument"),
                      "numbers of an argument")) {
          out.ints.emplace_back(v->value(), v->expr());
        }
        break;
      case ArgTag::str:
        out.str = arg_text(a, op);
        break;
      case ArgTag::device:
        if (std::string_view(arg_text(a, op)) != "cpu") {
          fail<FormatError>("[", op.name, "] is placed on '", arg_text(a, op),
                            "'; files name the device 'cpu' only");
        }
        out.device = Device();
        break;
    }
  }

  static const char* arg_text(const file::Arg& a, const OpDef& op) {
    const fb::String* s = required(a.text(), "text of an argument");
    if (s->size() > kMaxArgText || !is_text(s->string_view())) {
      fail<FormatError>("[", op.name, "] a text argument is too long or not ",
                        "UTF-8");
    }
    return intern(s->string_view());
  }

  void read_signatures() {
    for (const file::Signature* s :
         *required(model_->signatures(), "signatures")) {
      Signature& out = program_->signatures.emplace_back();
      out.key = name_text(required(s, "signature")->key(), "signature");
      if (s->graph() >= program_->graphs.size()) {
        fail<FormatError>("[", out.key, "] is graph ", s->graph(), " of ",
                          program_->graphs.size());
      }
      out.graph = static_cast<int32_t>(s->graph());
      for (const fb::String* n : *required(s->inputs(), "input names")) {
        out.inputs.push_back(name_text(n, "input name"));
      }
      for (const fb::String* n : *required(s->outputs(), "output names")) {
        out.outputs.push_back(name_text(n, "output name"));
      }
      out.structure = text(s->structure(), "structure");
      if (!s->state_updates()) continue;
      for (const file::StateUpdate* u : *s->state_updates()) {
        out.state_updates.push_back({u->constant(), u->value()});
      }
    }
  }

  void read_goldens() {
    if (!model_->goldens()) return;
    for (const file::Golden* g : *model_->goldens()) {
      Golden& out = program_->goldens.emplace_back();
      out.signature = name_text(required(g, "golden")->signature(),
                                "signature of a golden");
      for (const file::Blob* b : *required(g->inputs(), "golden inputs")) {
        out.inputs.push_back(read_golden(b));
      }
      for (const file::Blob* b : *required(g->outputs(), "golden outputs")) {
        out.outputs.push_back(read_golden(b));
      }
    }
  }
  Tensor read_golden(const file::Blob* b) {
    Tensor t = read_blob(b, "golden");
    golden_blobs_.push_back(t);
    golden_crcs_.push_back(b->extent()->crc32c());
    return t;
  }

  void read_rest() {
    const file::Rng* rng = required(model_->rng(), "random state");
    program_->rng_seed = rng->seed();
    program_->rng_offset = rng->offset();
    if (!model_->metadata()) return;
    for (const file::KeyValue* kv : *model_->metadata()) {
      program_->metadata.emplace_back(
          name_text(required(kv, "metadata")->key(), "metadata key"),
          text(required(kv->value(), "metadata value"), "metadata value"));
    }
  }

  // Samples are small and few: they are always checked.
  void check_bytes(Verify verify) const {
    for (const Tensor& t : golden_blobs_) source_->fetch(*t.impl());
    for (size_t i = 0; i < golden_crcs_.size(); ++i) {
      check_blob("a golden", golden_blobs_[i], golden_crcs_[i]);
    }
    source_->expect_weights();
    if (verify == Verify::quick) return;
    for (size_t i = 0; i < crcs_.size(); ++i) {
      const Constant& c = program_->constants[i];
      check_blob(c.name, c.data, crcs_[i]);
    }
  }

  std::shared_ptr<FileSource> source_;
  std::shared_ptr<Program> program_;
  file::Header header_;
  const file::Model* model_ = nullptr;
  std::vector<uint64_t> ends_;  // end of the last blob, by segment
  std::vector<uint32_t> crcs_;
  std::vector<Tensor> golden_blobs_;
  std::vector<uint32_t> golden_crcs_;
  std::vector<const OpDef*> ops_;
  size_t nodes_ = 0;
};

}  // namespace

std::shared_ptr<const Program> open_program(const std::string& path,
                                            Verify verify) {
  try {
    return Reader(FileSource::map(path)).read(verify);
  } catch (Error& e) {
    e.prepend(file_tag(path));
    throw;
  }
}

std::shared_ptr<const Program> load_program(std::span<const std::byte> bytes,
                                            Verify verify) {
  return Reader(FileSource::copy(bytes)).read(verify);
}

}  // namespace ferrule
