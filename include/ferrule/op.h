// An op is one definition: everything the project knows of it stands in one
// `OpDef` (runtime/ops); kernels attach by name (`KernelDef`, runtime/cpu).
//
// Life of a call: arguments are matched against the signature into an `OpCall`,
// `infer` checks them and shapes the results, the kernel of the device computes
// them, autograd records. See docs/adding-an-op.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ferrule/tensor.h"

namespace ferrule {

inline constexpr int kMaxArgs = 16;
inline constexpr int kMaxOuts = 8;

// ---------------------------------------------------------------------------
// Arguments

// An integer that may remember the expression it was computed from: while
// capturing, sizes of symbolic tensors are such, and arithmetic on them keeps
// the expression (`expr` is an index into the capture's table, -1: a constant).
struct Int {
  int64_t value = 0;
  int32_t expr = -1;

  Int() = default;
  template <std::integral T>
  Int(T v) : value(static_cast<int64_t>(v)) {}
  Int(int64_t v, int32_t e) : value(v), expr(e) {}
  bool symbolic() const { return expr >= 0; }
};
enum class IntOp : uint8_t { add, sub, mul, floordiv, mod, min, max };
int64_t apply(IntOp op, int64_t a, int64_t b);  // division by zero gives 0
Int combine(IntOp op, Int a, Int b);
inline Int operator+(Int a, Int b) { return combine(IntOp::add, a, b); }
inline Int operator-(Int a, Int b) { return combine(IntOp::sub, a, b); }
inline Int operator*(Int a, Int b) { return combine(IntOp::mul, a, b); }
inline Int operator/(Int a, Int b) { return combine(IntOp::floordiv, a, b); }
inline Int operator%(Int a, Int b) { return combine(IntOp::mod, a, b); }

// Size of one dimension of a tensor, with its expression while capturing.
Int size_of(const TensorImpl* t, int dim);

// A list of sizes in the making.
struct IntList {
  int n = 0;
  Int v[kMaxRank + 1];

  IntList() = default;
  IntList(std::initializer_list<Int> l) {
    for (Int i : l) push(i);
  }
  explicit IntList(std::span<const int64_t> l) {
    for (int64_t i : l) push(i);
  }
  void push(Int i) {
    if (n > kMaxRank) fail<ShapeError>("more than ", kMaxRank, " dimensions");
    v[n++] = i;
  }
  Int& operator[](int i) { return v[i]; }
  const Int* begin() const { return v; }
  const Int* end() const { return v + n; }
};
IntList sizes_of(const TensorImpl* t);
Int numel_of(const TensorImpl* t);

enum class ArgTag : uint8_t {
  none,
  tensor,
  tensors,
  int_,
  float_,
  bool_,
  ints,
  str,
  dtype,
  device,
};

// One argument, by position of the signature. Lists and strings are borrowed:
// they live as long as the call (strings: interned, for ever).
struct Arg {
  ArgTag tag = ArgTag::none;
  int32_t n = -1;  // lists: length; int_: expression
  union {
    TensorImpl* tensor;
    TensorImpl* const* tensors;  // entries may be null
    int64_t i;
    double f;
    bool b;
    const Int* ints;
    const char* str;
    DType dtype;
    Device device;
  };

  Arg() : i(0) {}
  Arg(const Tensor& t)
      : tag(t ? ArgTag::tensor : ArgTag::none), tensor(t.impl()) {}
  Arg(TensorImpl* t) : tag(t ? ArgTag::tensor : ArgTag::none), tensor(t) {}
  Arg(std::span<TensorImpl* const> t)
      : tag(ArgTag::tensors),
        n(static_cast<int32_t>(t.size())),
        tensors(t.data()) {}
  Arg(const std::vector<Tensor>& t)
      : tag(ArgTag::tensors),
        n(static_cast<int32_t>(t.size())),
        tensors(reinterpret_cast<TensorImpl* const*>(t.data())) {}
  Arg(bool v) : tag(ArgTag::bool_), b(v) {}
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  Arg(T v) : tag(ArgTag::int_), i(static_cast<int64_t>(v)) {}
  Arg(Int v) : tag(ArgTag::int_), n(v.expr), i(v.value) {}
  Arg(double v) : tag(ArgTag::float_), f(v) {}
  Arg(const IntList& l) : tag(ArgTag::ints), n(l.n), ints(l.v) {}
  Arg(std::span<const Int> l)
      : tag(ArgTag::ints), n(static_cast<int32_t>(l.size())), ints(l.data()) {}
  Arg(const char* s) : tag(ArgTag::str), str(s) {}
  Arg(DType t) : tag(ArgTag::dtype), dtype(t) {}
  Arg(Device d) : tag(ArgTag::device), device(d) {}

  bool is_none() const { return tag == ArgTag::none; }
  bool is_tensor() const { return tag == ArgTag::tensor; }
  bool is_number() const {
    return tag == ArgTag::int_ || tag == ArgTag::float_ || tag == ArgTag::bool_;
  }
};
static_assert(sizeof(Tensor) == sizeof(TensorImpl*));

const char* intern(std::string_view text);

// ---------------------------------------------------------------------------
// Signatures:  "input: Tensor[float], dim: int[]? = None, *, eps: float = 1e-5
//               -> out, indices"  (`indices?`: not given for dim None)

enum class ParamKind : uint8_t {
  tensor,   // Tensor, Tensor? (with [float], [int], [bool]: the kinds allowed)
  tensors,  // Tensor[]
  operand,  // Operand: a tensor or an immediate number
  int_,
  float_,  // an int is accepted
  bool_,
  ints,  // int[]; int[2] also accepts one int for both
  str,
  dtype,
  device,
  scalar,  // Scalar: any number
};
enum class TensorClass : uint8_t { any, floating, integer, boolean };

struct Param {
  std::string_view name;
  ParamKind kind = ParamKind::tensor;
  TensorClass cls = TensorClass::any;
  bool optional = false;  // `?`: None is a value
  bool has_default = false;
  bool keyword_only = false;
  bool mutated = false;         // `Tensor!`: written in place
  uint8_t fixed_len = 0;        // int[2] -> 2
  Arg fallback;                 // the default
  mutable void* key = nullptr;  // for the binder: interned keyword
};

struct Schema {
  int n = 0;
  int positional = 0;  // parameters that may be given by position
  int required = 0;
  int nouts = 1;
  bool mutates = false;
  Param params[kMaxArgs];
  std::string_view outs[kMaxOuts];

  int find(std::string_view name) const;  // -1: none
};

// ---------------------------------------------------------------------------
// Calls

struct OpInfo;
struct Vjp;
struct Batch;
struct Simplify;
class OpCall;

// Result of a call with several outputs.
struct Results {
  int n = 0;
  Tensor v[kMaxOuts];
  Tensor& operator[](int i) { return v[i]; }
};

// Where Python shows an op. Every op is reachable as ferrule.ops.NAME.
enum Visibility : uint8_t {
  kInternal = 0,
  kFunction = 1,    // fe.NAME
  kMethod = 2,      // Tensor.NAME (first parameter is self)
  kFunctional = 4,  // fe.nn.functional.NAME
  kPublic = kFunction | kMethod,
};

// What an op does with floating-point operands where autocast is on (see
// autocast.h). float64 is never cast, nor is what an op writes into.
enum class Autocast : uint8_t {
  pass,    // leaves them; an op that is a composition casts in its parts
  keep,    // leaves them, in its parts, too
  lower,   // casts them to the 16-bit dtype of the region
  f32,     // casts them to float32
  widest,  // casts them to the widest dtype among them
};

// Text and gradients are left out of the deployed runtime.
#ifdef FE_RUNTIME_ONLY
#define FE_DOC(...) nullptr
#define FE_GRAD(...) nullptr
#else
#define FE_DOC(...) __VA_ARGS__
#define FE_GRAD(...) __VA_ARGS__
#endif

struct OpDef {
  const char* name;
  // Behaviour of a version is frozen once released; files name both.
  uint16_t version = 1;
  const char* sig;
  // Python docstring: shapes, units, errors, source of the method.
  const char* doc = nullptr;
  // Argument lists for the automatic tests, one a line, in Python with the
  // generators f (normal), p (positive), u (0..1), i(high, *shape), b (bool).
  const char* examples = nullptr;
  // The result in NumPy, float64, in terms of the parameters' names.
  const char* reference = nullptr;
  uint8_t where = kPublic;
  // Other names that Python knows it by: "arcsin arc_sine". One with a dot,
  // such as "linalg.norm", is a function of that module, whatever `where` says.
  const char* aliases = nullptr;
  // NAME_ exists too: the result overwrites the first argument.
  bool has_inplace = false;
  // Draws random numbers: takes one tick {seed, offset} of the generator.
  bool random = false;
  // The shape of a result depends on values: cannot stand in a graph.
  bool data_dependent = false;
  // Control flow: stands in graphs only, as a node that has graphs of its own;
  // the executor runs them (runtime/graph/control.h). No infer and no kernel.
  bool runs_graphs = false;
  // Images whose channels lie last in memory give such images.
  bool keeps_channels_last = false;
  Autocast autocast = Autocast::pass;
  // Tensors the gradient needs, by name: "input other out". Others are dropped,
  // and so is "input@other" unless the argument `other` wants a gradient.
  const char* saves = "";
  // Shape, dtype, errors. Creates the results by OpCall::out/view. An op that
  // has no kernel anywhere has none: its `decompose` checks the arguments.
  void (*infer)(OpCall&) = nullptr;
  // Gradient in terms of ops, so that every order exists.
  void (*vjp)(Vjp&) = nullptr;
  // The op in terms of simpler ops: reference, gradient if there is no vjp,
  // fallback kernel, lowering.
  Results (*decompose)(OpCall&) = nullptr;
  // The op in terms of others where an argument is complex, if no kernel takes
  // complex operands (those that do: runtime/cpu/complex.cpp).
  Results (*complex)(OpCall&) = nullptr;
  // What may stand in a graph instead of a call, with the same bits
  // (runtime/graph/passes/simplify.h).
  void (*simplify)(Simplify&) = nullptr;
  // The op on a batch of samples at once (ferrule/vmap.h). Without it an op
  // whose kernel is elementwise broadcasts, one that decomposes is batched by
  // its parts, and any other runs sample by sample.
  Results (*batch)(Batch&) = nullptr;
  // Multiplications that an addition follows, by the plain algorithm (a kernel
  // may need fewer), from the shapes of the tensors that the call has: those
  // given, then the results. For products of matrices; null stands for 0.
  using Shapes = std::span<const Dims>;
  int64_t (*macs)(Shapes in, Shapes out) = nullptr;

  mutable std::atomic<const OpInfo*> info{nullptr};

  // Calls the op: op::relu(x), op::sum(x, IntList{0}, true). Arguments are
  // those of `sig` in order; left-out ones take their defaults.
  template <class... A>
  Tensor operator()(const A&... args) const {
    return std::move(multi(args...)[0]);
  }
  template <class... A>
  Results multi(const A&... args) const {
    if constexpr (sizeof...(A) == 0) {
      return call(nullptr, 0);
    } else {
      Arg list[] = {Arg(args)...};
      return call(list, sizeof...(A));
    }
  }
  // The result overwrites the first argument, which is returned.
  template <class... A>
  Tensor inplace(const A&... args) const {
    Arg list[] = {Arg(args)...};
    return std::move(call(list, sizeof...(A), true)[0]);
  }
  Results call(const Arg* args, int n, bool in_place = false) const;
};

// A kernel: computes the results of a call whose outputs are allocated. It
// never throws and never allocates; what it finds wrong in the data it reports
// by OpCall::report. It may run on any thread.
using Kernel = void (*)(OpCall&);

// The form that a kernel reads an operand in: where the operand never changes,
// it is brought into it once (OpCall::prepared), and not in every run. Results
// have the same bits.
struct PrepareDef {
  int arg;  // the operand's parameter
  // Bytes of the form, which depends on the operand alone; 0: for the shapes
  // of this call the operand is read as it is.
  int64_t (*bytes)(const OpCall&);
  void (*run)(const OpCall&, void* to);
};

struct Epilogue;  // runtime/cpu/epilogue.h
namespace cpu {
class TileSink;  // runtime/cpu/elementwise.h
}

struct KernelDef {
  const char* name;      // of the op
  Kernel run = nullptr;  // null: what `tiles` says
  // The kernel as a function of a tile of elements (runtime/cpu/elementwise.h),
  // which may run together with those of other calls.
  void (*tiles)(const OpCall&, cpu::TileSink&) = nullptr;
  // The kernel wants dense row-major inputs: others are copied for it.
  bool contiguous = true;
  // Bytes of 64-byte aligned scratch at OpCall::scratch; must depend on shapes
  // and attributes only.
  int64_t (*scratch)(const OpCall&) = nullptr;
  // Output 0 may be given the memory of a dying input of the same size.
  bool elementwise = false;
  // Result 0 may be written over argument 0, of any strides, if no other
  // argument shares its memory.
  bool over_input = false;
  // A bit for each result that has no memory where nobody reads it
  // (OpCall::wants).
  uint8_t optional_results = 0;
  // Null: operands are read as they are.
  const PrepareDef* prepare = nullptr;
  // The kernel applies OpCall::epilogue to what it has just written. Does it,
  // for these shapes?
  bool (*has_epilogue)(const OpCall&) = nullptr;
  // Adds this call to what is done to the elements of its argument `arg` when
  // they are made, and so replaces it. False: it cannot be done there.
  bool (*join)(const OpCall&, int arg, Epilogue&) = nullptr;
  uint16_t version = 1;
};

// Parsed and linked form of an OpDef, made once by the registry.
struct OpInfo {
  const OpDef* op = nullptr;
  int id = 0;
  Schema schema;
  // What the gradient needs: for each parameter and result, for whose gradient
  // (a bit per parameter; 0: not at all).
  uint32_t saves_inputs[kMaxArgs] = {};
  uint32_t saves_outputs[kMaxOuts] = {};
  const KernelDef* cpu = nullptr;
  // Takes the place of `cpu` where the arithmetic is complex.
  const KernelDef* cpu_complex = nullptr;
  // Kernels of plugins, by device kind, opaque (runtime/core/backend.h).
  mutable std::atomic<const void*> plugin[kMaxDeviceKinds]{};
};

// Does a call of this op write into its `Tensor!` arguments? An op that has a
// parameter `training` does so only when it is true.
bool writes(const OpInfo& info, const Arg* args);

const OpInfo& link(const OpDef& op);  // slow path of info_of
inline const OpInfo& info_of(const OpDef& op) {
  const OpInfo* i = op.info.load(std::memory_order_acquire);
  return i ? *i : link(op);
}
const OpDef* find_op(std::string_view name);  // nullptr: none
std::span<const OpDef* const> all_ops();

class OpCall {
 public:
  explicit OpCall(const OpDef& op) : op(op), info(info_of(op)) {}
  OpCall(const OpCall&) = delete;
  ~OpCall() {
    for (int i = 0; i < nouts; ++i) {
      if (outs[i]) release(outs[i]);
    }
  }

  // Fills args [0, schema.n): checks kinds against the signature, converts int
  // to float, broadcasts int[2], sets defaults. Throws a clear error.
  void bind(const Arg* given, int n);

  const OpDef& op;
  const OpInfo& info;
  Arg args[kMaxArgs];
  TensorImpl* outs[kMaxOuts] = {};  // owned
  int8_t alias[kMaxOuts] = {-1, -1, -1, -1, -1, -1, -1, -1};
  int nouts = 0;
  Device device;
  // Set by infer for the kernel: dtype that the arithmetic is done in.
  DType compute = DType::f32;
  Cut cut = Cut::none;    // of an argument, if any
  bool in_place = false;  // result 0 overwrites argument 0
  // Results are preset (executor): out() reuses outs[i] instead of making one.
  bool preset = false;
  void* scratch = nullptr;
  const void* prepared = nullptr;  // the operand of KernelDef::prepare
  Epilogue* epilogue = nullptr;    // what follows on result 0
  struct {
    uint64_t seed = 0, offset = 0;
  } rng;

  // --- reading, for infer and kernels
  bool has(int i) const { return args[i].tag != ArgTag::none; }
  bool is_tensor(int i) const { return args[i].tag == ArgTag::tensor; }
  const TensorImpl& in(int i) const { return *args[i].tensor; }
  Tensor tensor(int i) const {
    return is_tensor(i) ? Tensor::share(args[i].tensor) : Tensor();
  }
  std::span<TensorImpl* const> list(int i) const {
    return {args[i].tensors, static_cast<size_t>(args[i].n)};
  }
  int64_t i(int i) const { return args[i].i; }
  Int sym(int i) const { return Int(args[i].i, args[i].n); }
  double f(int i) const { return args[i].f; }
  bool b(int i) const { return args[i].b; }
  DType dtype(int i) const { return args[i].dtype; }
  std::string_view str(int i) const { return args[i].str; }
  std::span<const Int> ints(int i) const {
    return {args[i].ints, static_cast<size_t>(args[i].n)};
  }
  // A number argument of any tag, as double.
  double number(int i) const;
  const TensorImpl& out_impl(int i = 0) const { return *outs[i]; }
  // Has a result of KernelDef::optional_results memory?
  bool wants(int i) const { return outs[i]->storage != nullptr; }

  // --- shaping results, for infer
  void out(int i, DType dtype, std::span<const int64_t> shape);
  void out_like(int i, int input) {
    out(i, in(input).dtype, in(input).sizes());
  }
  // Result i is a view into tensor argument `input`.
  void view(int i, int input, std::span<const int64_t> shape,
            std::span<const int64_t> strides, int64_t offset);

  // --- checks, for infer; `what` names the parameter by its index
  // Dimension in [-ndim, ndim) made non-negative.
  int dim(int arg, int ndim) const;
  static int wrap_dim(const OpCall& c, int64_t dim, int ndim);
  // Throws "[name] " + parts.
  template <class E, class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    ferrule::fail<E>("[", op.name, in_place && op.has_inplace ? "_] " : "] ",
                     parts...);
  }
  // float dtype of the result for an operand list, by promotion; integers give
  // float32 when `to_float`.
  DType promoted(std::span<const int> operands, bool to_float = false) const;

  // --- errors found by kernels in the data, from any thread. The first wins.
  // text: static, e.g. "index {} is out of range; valid: 0..{}".
  void report(const char* text, int64_t value, int64_t limit,
              ErrorKind kind = ErrorKind::index);
  void raise_reported() const;

 private:
  std::atomic<const char*> reported_{nullptr};
  int64_t reported_value_ = 0, reported_limit_ = 0;
  ErrorKind reported_kind_ = ErrorKind::index;
  // What int[2] makes of one int.
  static constexpr int kMaxPairs = 4;
  int npairs_ = 0;
  Int pairs_[kMaxPairs][2];
};

// Shape of elementwise results; throws ShapeError naming the dimension.
Dims broadcast(const OpCall& c, std::span<const int64_t> a,
               std::span<const int64_t> b);

// Runs the CPU kernel (copies non-contiguous inputs, provides scratch).
// `workspace` grows to what is needed and is kept by the caller.
struct Workspace {
  void* data = nullptr;
  int64_t size = 0;
  void* reserve(int64_t bytes);
  Workspace() = default;
  Workspace(const Workspace&) = delete;
  ~Workspace();
};
int64_t workspace_bytes(const OpCall& c);
void run_cpu_kernel(OpCall& c, void* workspace);

}  // namespace ferrule
