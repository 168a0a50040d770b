// Writes down the graph while a program runs on symbolic tensors.
#include "ferrule/capture.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <utility>

#include "ferrule/ops.h"
#include "runtime/autograd/modes.h"
#include "runtime/autograd/node.h"
#include "runtime/core/symbolic.h"

namespace ferrule {
namespace {

constexpr int kMaxDepth = 64;

Device device_inside(const Capture* outer, Capture::For purpose) {
  if (!outer) return {DeviceKind::graph, 0};
  if (purpose == Capture::For::file) {
    fail<RuntimeError>("[capture] a capture is already running on this thread");
  }
  const int depth = outer->device().index + 1;
  if (depth > kMaxDepth) {
    fail<RuntimeError>("[vmap] more than ", kMaxDepth, " calls are nested");
  }
  return {DeviceKind::graph, static_cast<uint8_t>(depth)};
}

// Sizes are chosen at run time in files alone, so expressions belong to the
// outermost capture.
Capture& outermost() { return Capture::at({DeviceKind::graph, 0}); }

uint64_t call_site() { return call_sites.written ? call_sites.written() : 0; }

// Changes when the elements of a tensor do.
uint64_t version_of(const TensorImpl* t) {
  if (t->device.is_graph()) return static_cast<uint64_t>(t->graph_value);
  return t->storage ? t->storage->version.load(std::memory_order_relaxed) : 0;
}

// What one signature writes is state in all of them.
void mark_state(Program& p) {
  std::vector<bool> changes(p.constants.size());
  for (const Signature& s : p.signatures) {
    for (const StateUpdate& u : s.state_updates) changes[u.constant] = true;
  }
  for (const Signature& s : p.signatures) {
    for (Value& v : p.graphs[s.graph].values) {
      if (v.role == ValueRole::constant && changes[v.constant]) {
        v.role = ValueRole::state;
      }
    }
  }
}

}  // namespace

std::string (*Capture::line_of)(uint64_t) = nullptr;

uint32_t Capture::next_epoch() {
  static std::atomic<uint32_t> epochs{0};
  return ++epochs;
}

Capture::Capture(Program& program, std::string graph_name, For purpose)
    : program_(program),
      purpose_(purpose),
      outer_(modes.capture),
      device_(device_inside(modes.capture, purpose)),
      epoch_(next_epoch()),
      begun_at_(call_site()) {
  symbolic_hooks.combine = [](IntOp op, Int a, Int b) {
    return outermost().combine(op, a, b);
  };
  symbolic_hooks.size_of = [](const TensorImpl* t, int dim) {
    return at(t->device).size_of(t, dim);
  };
  symbolic_hooks.share = [](TensorImpl* t, TensorImpl* detached) {
    if (Capture* c = find(t->device)) c->share(t, detached);
  };
  graph_.name = std::move(graph_name);
  modes.capture = this;
}

Capture::~Capture() { abandon(); }

void Capture::abandon() {
  if (modes.capture == this) modes.capture = outer_;
  lifted_.clear();
  met_inside_.clear();
  shares_.clear();
  inputs_.clear();
  met_.clear();
}

Capture* Capture::current() { return modes.capture; }
void Capture::make_current(Capture* capture) { modes.capture = capture; }

Capture* Capture::find(Device device) {
  Capture* c = modes.capture;
  while (c && c->device_ != device) c = c->outer_;
  return c;
}

Capture& Capture::at(Device device) {
  if (Capture* c = find(device)) return *c;
  fail<RuntimeError>(
      "[capture] a symbolic tensor or size is used outside of the capture that "
      "made it");
}

// --- values -----------------------------------------------------------------

int32_t Capture::new_value(const TensorImpl* t, ValueRole role) {
  Value v;
  v.dtype = t->dtype;
  v.role = role;
  // Whether a size of a result is always this one, only infer can tell.
  bool fixed = role != ValueRole::temp || program_.symbols.empty();
  for (int64_t d : t->sizes()) v.dims.push_back({d, -1, fixed});
  graph_.values.push_back(std::move(v));
  return static_cast<int32_t>(graph_.values.size()) - 1;
}

void Capture::bind_result(TensorImpl* t, int32_t value) {
  t->device = device_;
  t->graph_value = value;
  t->graph_epoch = epoch_;
}

Tensor Capture::input(std::string name, const Tensor& example,
                      const std::vector<std::string>& symbols) {
  Tensor t = input(std::move(name), example.shape(), example.dtype(), false);
  Value& v = graph_.values[t->graph_value];
  for (int i = 0; i < t.ndim() && i < static_cast<int>(symbols.size()); ++i) {
    if (symbols[i].empty()) continue;
    for (size_t k = 0; k < program_.symbols.size(); ++k) {
      if (program_.symbols[k].name != symbols[i]) continue;
      v.dims[i].symbol = static_cast<int32_t>(k);
      v.dims[i].fixed = false;
    }
    if (v.dims[i].symbol < 0) {
      fail<ValueError>("[capture] input '", v.name, "' names the size '",
                       symbols[i], "', which the program does not declare");
    }
  }
  return t;
}

Tensor Capture::input(std::string name, std::span<const int64_t> shape,
                      DType dtype, bool requires_grad) {
  Tensor t = Tensor::empty(shape, dtype, device_);
  bind_result(t.impl(), new_value(t.impl(), ValueRole::input));
  graph_.values[t->graph_value].name = std::move(name);
  graph_.inputs.push_back(t->graph_value);
  t->requires_grad = requires_grad;
  recorded_ |= requires_grad;
  inputs_.push_back(t);
  return t;
}

Tensor Capture::lift(const std::string& name, const Tensor& value, bool state,
                     bool trainable) {
  int32_t index = program_.constant_index(name);
  if (index < 0) {
    index = static_cast<int32_t>(program_.constants.size());
    program_.constants.push_back({name, op::clone(value.detach()), trainable});
  }
  return lifted(name, value, index, state);
}

Tensor Capture::lift_shared(const std::string& name, const Tensor& value) {
  const auto index = static_cast<int32_t>(program_.constants.size());
  program_.constants.push_back({name, value, false});
  return lifted(name, value, index, false);
}

Tensor Capture::lifted(const std::string& name, const Tensor& value,
                       int32_t index, bool state) {
  Tensor t = Tensor::empty(value.shape(), value.dtype(), device_);
  bind_result(t.impl(), new_value(t.impl(), state ? ValueRole::state
                                                  : ValueRole::constant));
  Value& v = graph_.values[t->graph_value];
  v.name = name;
  v.constant = index;
  t->requires_grad = value->requires_grad;
  lifted_.push_back({t, index, t->graph_value});
  return t;
}

// Of a symbolic tensor of this capture. The one that is run again follows the
// history: what the program used detached, or computed under no_grad, is to be
// without a history then, too.
int32_t Capture::own_value(const TensorImpl* t) {
  if (t->graph_epoch != epoch_) {
    fail<RuntimeError>(
        "[capture] a symbolic tensor of another capture is used; it must not "
        "outlive the call of fe.export or fe.vmap that made it");
  }
  const int32_t value = t->graph_value;
  if (purpose_ != For::replay) return value;
  const auto is_input = [&] {
    return std::any_of(inputs_.begin(), inputs_.end(),
                       [&](const Tensor& i) { return i.impl() == t; });
  };
  // Any other leaf was made by detach().
  if (wants_grad(t) && (t->history || is_input())) {
    recorded_ = true;
    return value;
  }
  if (!recorded_) return value;
  const auto [at, is_new] =
      detached_.emplace(value, static_cast<int32_t>(graph_.values.size()));
  if (is_new) {
    Value v = graph_.values[value];
    v.role = ValueRole::temp;
    v.alias_of = value;
    graph_.values.push_back(std::move(v));
  }
  return at->second;
}

int32_t Capture::value_of(TensorImpl* t) {
  if (t->device == device_) {
    const bool around = purpose_ == For::region && t->graph_epoch != epoch_;
    return around ? import_tensor(t) : own_value(t);
  }
  for (const Met& m : met_) {
    if (m.tensor.impl() == t) return m.value;
  }
  Tensor keep = Tensor::share(t), data = keep;
  if (purpose_ != For::replay) {
    if (!t->device.is_cpu()) {
      fail<DeviceError>("[capture] a constant on ", t->device,
                        " cannot go into a file; move it with .to(\"cpu\")");
    }
    // Values as they are now: later writes are not part of the graph.
    Capture* inner = std::exchange(modes.capture, nullptr);
    data = op::clone(keep.detach());
    modes.capture = inner;
  }
  int32_t index = static_cast<int32_t>(program_.constants.size());
  program_.constants.push_back(
      {concat("constant.", index), std::move(data), false});
  int32_t value = new_value(t, ValueRole::constant);
  graph_.values[value].constant = index;
  recorded_ |= wants_grad(t);
  met_.push_back({std::move(keep), value, version_of(t)});
  return value;
}

Tensor Capture::held_outside() const {
  std::vector<Tensor> met = met_inside_;
  for (const Met& m : met_) met.push_back(m.tensor);
  // References from here: of headers, by handles and views; of memory, by
  // headers.
  std::unordered_map<const TensorImpl*, uint32_t> headers;
  std::unordered_map<const Storage*, uint32_t> memory;
  const auto count = [&](const TensorImpl* t, uint32_t times) {
    if (!t) return;
    uint32_t& n = headers[t];
    if (n == 0) ++memory[t->storage];
    n += times;
  };
  for (const Tensor& t : met) {
    const bool again = headers.contains(t.impl());
    count(t.impl(), 1);
    if (!again) count(t->root, 1);
  }
  for (const Met& m : met_) count(m.tensor.impl(), 1);
  for (const Tensor& t : met_inside_) count(t.impl(), 1);
  for (const Tensor& t : met) {
    const auto held = [&](const TensorImpl* x) {
      return x && (x->refs > headers[x] ||
                   (x->storage && x->storage->refs > memory[x->storage]));
    };
    if (held(t.impl()) || held(t->root)) return t;
  }
  return {};
}

// --- sizes ------------------------------------------------------------------

Int Capture::size_of(const TensorImpl* t, int dim) {
  int64_t hint = t->shape[dim];
  const int32_t value = value_here(t);
  if (graph_.values[value].dims[dim].fixed) return hint;
  for (size_t i = 0; i < graph_.exprs.size(); ++i) {
    const Expr& e = graph_.exprs[i];
    if (e.kind == Expr::Kind::size && e.a == value && e.b == dim) {
      return numbered(hint, i);
    }
  }
  Expr e;
  e.kind = Expr::Kind::size;
  e.a = value;
  e.b = dim;
  e.value = hint;
  graph_.exprs.push_back(e);
  return numbered(hint, graph_.exprs.size() - 1);
}

Int Capture::numbered(int64_t value, size_t expr) const {
  return {value, first_expr_ + static_cast<int32_t>(expr)};
}

int32_t Capture::expr_of(Int i) {
  if (i.symbolic()) return own_expr(i.expr);
  Expr e;
  e.value = i.value;
  graph_.exprs.push_back(e);
  return static_cast<int32_t>(graph_.exprs.size()) - 1;
}

Int Capture::combine(IntOp op, Int a, Int b) {
  Expr e;
  e.kind = Expr::Kind::op;
  e.op = op;
  e.a = expr_of(a);
  e.b = expr_of(b);
  e.value = apply(op, a.value, b.value);
  graph_.exprs.push_back(e);
  return numbered(e.value, graph_.exprs.size() - 1);
}

// --- nodes ------------------------------------------------------------------

std::string Capture::place() const {
  if (purpose_ == For::replay || !line_of) return where;
  const uint64_t site = call_site();
  const std::string line = site && site != begun_at_ ? line_of(site) : "";
  return concat(where, where.empty() || line.empty() ? "" : " ", line);
}

NodeArg Capture::node_arg(const Arg& a) {
  NodeArg n;
  n.tag = a.tag;
  switch (a.tag) {
    case ArgTag::none:
      break;
    case ArgTag::tensor:
      n.value = value_of(a.tensor);
      break;
    case ArgTag::tensors:
      for (int k = 0; k < a.n; ++k) {
        n.values.push_back(a.tensors[k] ? value_of(a.tensors[k]) : -1);
      }
      break;
    case ArgTag::int_:
      n.i = a.i;
      n.expr = a.n < 0 ? -1 : own_expr(a.n);
      break;
    case ArgTag::float_:
      n.f = a.f;
      n.expr = a.n;
      break;
    case ArgTag::bool_:
      n.b = a.b;
      break;
    case ArgTag::ints:
      for (const Int& v : std::span(a.ints, static_cast<size_t>(a.n))) {
        n.ints.emplace_back(v.value, v.symbolic() ? own_expr(v.expr) : -1);
      }
      break;
    case ArgTag::str:
      n.str = a.str;
      break;
    case ArgTag::dtype:
      n.dtype = a.dtype;
      break;
    case ArgTag::device:
      // Where the program runs is the runtime's choice.
      n.device = Device{};
      break;
  }
  return n;
}

// --- views ------------------------------------------------------------------

namespace {

bool has_free_sizes(const Value& v) {
  return std::any_of(v.dims.begin(), v.dims.end(),
                     [](const DimSpec& d) { return !d.fixed; });
}

[[noreturn]] void fail_outer_write() {
  fail<RuntimeError>(
      "[capture] a function given to cond, while_loop, scan or map writes in "
      "place into a tensor that is not its own; compute a new tensor, and "
      "return it");
}

}  // namespace

// Is the tensor one that a region was given?
bool Capture::is_given(const TensorImpl* t) const {
  if (t->device != device_) return false;
  const TensorImpl* root = t->root ? t->root : t;
  return root->graph_epoch != epoch_ ||
         graph_.values[root->graph_value].role == ValueRole::input;
}

// What a view shows now that its root was written. In a region the root may be
// of the capture around it, and so are the ops.
Tensor Capture::look_again(const TensorImpl* view) {
  const Tensor root = Tensor::share(view->root);
  if (root->graph_epoch == epoch_ || purpose_ != For::region) {
    return look_again(root, view->graph_view);
  }
  return in_outer([&] { return outer_->look_again(view); });
}

// The same view of another tensor of the root's shape: its ops once more, with
// sizes as expressions.
Tensor Capture::look_again(const Tensor& base, int32_t view) {
  if (view < 0) return base;
  const View v = views_[view];
  const Tensor from = look_again(base, v.parent);
  const Node node = graph_.nodes[v.node];  // a copy: nodes are added below
  std::vector<Arg> args;
  std::vector<Int> sizes;  // of a view op at most one argument is a list
  bool first = true;
  for (const NodeArg& a : node.args) {
    switch (a.tag) {
      case ArgTag::tensor:
        args.push_back(first ? Arg(from) : Arg());
        first = false;
        break;
      case ArgTag::int_:
        args.push_back(a.expr < 0 ? Int(a.i) : numbered(a.i, a.expr));
        break;
      case ArgTag::ints:
        for (const Int& v : a.ints) {
          sizes.push_back(v.expr < 0 ? v : numbered(v.value, v.expr));
        }
        args.push_back(std::span<const Int>(sizes));
        break;
      case ArgTag::bool_:
        args.push_back(a.b);
        break;
      case ArgTag::none:
        args.push_back(Arg());
        break;
      default:
        fail<RuntimeError>(
            "[capture] a write in place through a view made by '",
            node.op->name, "' cannot be captured");
    }
  }
  return std::move(
      node.op->call(args.data(), static_cast<int>(args.size()))[0]);
}

// The root with `target`, which looks into it, written into it.
Tensor Capture::written(TensorImpl* root, TensorImpl* target, int32_t view) {
  const Tensor whole = Tensor::share(root), part = Tensor::share(target);
  if (view < 0) return part;
  if (!has_free_sizes(graph_.values[root->graph_value]) &&
      !has_free_sizes(graph_.values[target->graph_value])) {
    const Look look(root, target);
    return op::strided_write(whole, part, look.size, look.stride, look.offset);
  }
  // Strides are not known yet: the view of the numbers of the root's elements
  // tells which ones are written.
  const Int n = numel_of(root);
  const Tensor numbers = op::reshape(op::arange(n), sizes_of(root));
  const Tensor where = op::reshape(look_again(numbers, view), IntList{-1});
  TensorImpl* indices[] = {where.impl()};
  const Tensor flat = op::index_put(op::reshape(whole, IntList{-1}),
                                    std::span<TensorImpl* const>(indices),
                                    op::reshape(part, IntList{-1}));
  return op::reshape(flat, sizes_of(root));
}

bool Capture::adopt(TensorImpl* target) {
  TensorImpl* root = target->root ? target->root : target;
  const bool made_here = purpose_ != For::replay && root->device.is_cpu() &&
                         root->graph_epoch == epoch_ && !wants_grad(root);
  // Other views would go on showing the memory as it was; but not those that
  // are left here alone, because the graph has read them.
  uint32_t headers = target == root ? 1 : 2;
  for (const Met& m : met_) {
    const TensorImpl* t = m.tensor.impl();
    const bool other = t != root && t != target && t->storage == root->storage;
    headers += other && t->refs == 1;
  }
  if (!made_here || !root->storage || root->storage->refs != headers) {
    return false;
  }
  const NoGrad no_history;
  const auto become = [&](TensorImpl* t, int32_t value) {
    bind_result(t, value);
    release(std::exchange(t->storage, nullptr));
  };
  const Look look(root, target);
  // A copy of the constant, which stays as it is.
  Tensor constant = Tensor::empty(root->sizes(), root->dtype, device_);
  bind_result(constant.impl(), value_of(root));
  become(root, op::clone(constant)->graph_value);
  if (target != root) {
    const Tensor part = op::as_strided(Tensor::share(root), look.size,
                                       look.stride, look.offset);
    become(target, part->graph_value);
    target->graph_view = part->graph_view;
    target->history_seen = root->history_version;
  }
  return true;
}

void Capture::write_back(TensorImpl* view) {
  TensorImpl* root = view->root;
  if (purpose_ == For::region && root->graph_epoch != epoch_) {
    fail_outer_write();
  }
  Tensor whole = written(root, view, view->graph_view);
  root->graph_value = whole->graph_value;
  if (whole->history) {  // recorded
    std::swap(root->history, whole->history);
    root->history_nr = whole->history_nr;
  }
  view->history_seen = ++root->history_version;
  tell_others(root);
}

// --- tensors that share memory ----------------------------------------------

bool Capture::shares(const TensorImpl* root) const {
  return root->graph_epoch == epoch_ && root->graph_view >= 0;
}

// `view`, whose root looks into a memory as `on` does, as a view of the memory.
int32_t Capture::rerooted(int32_t view, int32_t on) {
  if (view < 0 || on < 0) return std::max(view, on);
  const View v{views_[view].node, rerooted(views_[view].parent, on)};
  views_.push_back(v);
  return static_cast<int32_t>(views_.size()) - 1;
}

void Capture::share(TensorImpl* t, TensorImpl* detached) {
  if (t->graph_epoch != epoch_) return;  // whoever uses it is told
  catch_up(t);
  if (is_stale(t)) refresh_view(t);
  TensorImpl* root = t->root ? t->root : t;
  if (!shares(root)) {
    Tensor memory = Tensor::empty(root->sizes(), root->dtype, device_);
    memory->set_geometry(root->sizes(), root->steps(), root->offset);
    bind_result(memory.impl(), root->graph_value);
    root->graph_view = static_cast<int32_t>(shares_.size());
    root->history_seen = 0;
    shares_.push_back({std::move(memory), -1});
  }
  const Share of = shares_[root->graph_view];
  const int32_t view = rerooted(t->root ? t->graph_view : -1, of.view);
  detached->graph_value = t->graph_value;
  detached->graph_view = static_cast<int32_t>(shares_.size());
  detached->history_seen = of.memory->history_version;
  shares_.push_back({of.memory, view});
}

void Capture::catch_up(TensorImpl* t) {
  TensorImpl* root = t->root ? t->root : t;
  if (!shares(root)) return;
  const Share s = shares_[root->graph_view];
  if (root->history_seen == s.memory->history_version) return;
  const NoGrad no_history;
  root->graph_value = look_again(s.memory, s.view)->graph_value;
  root->history_seen = s.memory->history_version;
  ++root->history_version;
}

void Capture::refresh(TensorImpl* t) {
  if (t->device.is_graph()) catch_up(t);
  if (is_stale(t)) refresh_view(t);
}

// After a write into `root`.
void Capture::tell_others(TensorImpl* root) {
  if (!shares(root)) return;
  const Share s = shares_[root->graph_view];
  const NoGrad no_history;
  TensorImpl* memory = s.memory.impl();
  memory->graph_value = written(memory, root, s.view)->graph_value;
  root->history_seen = ++memory->history_version;
}

// --- ops --------------------------------------------------------------------

// The results of a random op are those of an earlier call; see draw_again.
void Capture::give_again(OpCall& c) {
  auto& [next, last] = *again_;
  if (next == last || graph_.nodes[drawn_[next]].op != &c.op ||
      writes(c.info, c.args)) {
    c.fail<RuntimeError>(
        "a function under utils.checkpoint draws other random numbers when it "
        "is computed again, or in place; in a graph it must draw the same");
  }
  const int32_t node = drawn_[next++];
  drawn_.push_back(node);
  for (int i = 0; i < c.nouts; ++i) {
    if (c.outs[i]->storage) release(std::exchange(c.outs[i]->storage, nullptr));
    bind_result(c.outs[i], graph_.nodes[node].outputs[i]);
  }
}

void Capture::emit(OpCall& c) {
  const Schema& s = c.info.schema;
  if (c.op.random) {
    if (refuses_random) c.fail<RuntimeError>(refuses_random);
    if (again_) return give_again(c);
    drawn_.push_back(static_cast<int32_t>(graph_.nodes.size()));
  }
  auto check_target = [&](int i, const TensorImpl* t) {
    if (purpose_ == For::region && is_given(t)) fail_outer_write();
    if (t->device == device_) return;
    if (purpose_ == For::replay) {
      c.fail<RuntimeError>(
          "a function under fe.vmap writes in place into argument '",
          s.params[i].name, "', a tensor of shape ", t->sizes(),
          " that all samples share, what differs from sample to sample; give "
          "it to the function as an argument with a batch dimension, or "
          "compute a new tensor");
    }
    c.fail<RuntimeError>(
        "captured code writes in place into argument '", s.params[i].name,
        "', a tensor that is neither an input, a parameter nor a buffer, and "
        "that was not made in this code for itself alone; register it with "
        "register_buffer, or compute a new tensor");
  };
  // The op writes into its first argument itself (copy_, fill_). Inputs belong
  // to the caller and views share memory with others: it writes into a copy.
  bool mutates = writes(c.info, c.args);
  TensorImpl* target = c.in_place ? c.args[0].tensor : nullptr;
  if (target) check_target(0, target);
  Node node;
  node.op = &c.op;
  node.where = place();
  for (int i = 0; i < s.n; ++i) node.args.push_back(node_arg(c.args[i]));
  if (target && mutates &&
      (target->root ||
       (shares(target) && shares_[target->graph_view].view >= 0) ||
       graph_.values[target->graph_value].role == ValueRole::input)) {
    const NoGrad no_history;
    const Tensor copy = op::clone(Tensor::share(target));
    node.args[0].value = copy->graph_value;
  }
  for (int i = 0; i < c.nouts; ++i) {
    TensorImpl* t = c.outs[i];
    if (t->root && t->root->device != device_) {
      // A view of a constant is a value like any other.
      release(std::exchange(t->root, nullptr));
    }
    if (t->storage) release(std::exchange(t->storage, nullptr));
    int32_t value = new_value(t, ValueRole::temp);
    node.outputs.push_back(value);
    bind_result(t, value);
    if (t->root) {
      const TensorImpl* of = c.args[c.alias[i]].tensor;
      t->graph_view = static_cast<int32_t>(views_.size());
      views_.push_back(
          {static_cast<int32_t>(graph_.nodes.size()),
           of->root && of->graph_epoch == epoch_ ? of->graph_view : -1});
    }
  }
  std::vector<std::pair<TensorImpl*, int32_t>> written;
  for (int i = 0; mutates && i < s.n; ++i) {
    if (!s.params[i].mutated) continue;
    auto write = [&](TensorImpl* t, int32_t over) {
      if (!t) return;
      check_target(i, t);
      int32_t value = new_value(t, ValueRole::temp);
      graph_.values[value].dims = graph_.values[over].dims;
      graph_.values[value].alias_of = over;
      node.outputs.push_back(value);
      written.emplace_back(t, value);
    };
    if (c.args[i].tag == ArgTag::tensor) {
      write(c.args[i].tensor, node.args[i].value);
    } else if (c.args[i].tag == ArgTag::tensors) {
      for (int k = 0; k < c.args[i].n; ++k) {
        write(c.args[i].tensors[k], node.args[i].values[k]);
      }
    }
  }
  int32_t result = node.outputs.empty() ? -1 : node.outputs[0];
  graph_.nodes.push_back(std::move(node));
  if (target && !mutates) written.emplace_back(target, result);
  for (auto& [t, value] : written) {
    t->graph_value = value;
    if (t->root) continue;
    ++t->history_version;
    tell_others(t);
  }
}

int64_t Capture::finish(std::string key,
                        const std::vector<std::string>& output_names,
                        const std::vector<Tensor>& outputs,
                        std::string structure) {
  for (const Met& m : met_) {
    if (purpose_ == For::replay && version_of(m.tensor.impl()) != m.version) {
      fail<RuntimeError>(
          "[vmap] the function wrote in place into a tensor of shape ",
          m.tensor.shape(),
          " that all samples share, after it had used it; compute a new "
          "tensor, or write outside of fe.vmap");
    }
  }
  Signature signature;
  signature.key = std::move(key);
  signature.graph = static_cast<int32_t>(program_.graphs.size());
  signature.outputs = output_names;
  signature.structure = std::move(structure);
  for (int32_t v : graph_.inputs) {
    signature.inputs.push_back(graph_.values[v].name);
  }
  for (const Tensor& t : outputs) {
    refresh(t.impl());
    graph_.outputs.push_back(value_of(t.impl()));
  }
  for (const Lifted& l : lifted_) {
    catch_up(l.tensor.impl());
    if (l.tensor->graph_value != l.value) {
      graph_.values[l.value].role = ValueRole::state;
      signature.state_updates.push_back({l.constant, l.tensor->graph_value});
    }
  }
  const auto updates = static_cast<int64_t>(signature.state_updates.size());
  program_.graphs.push_back(std::move(graph_));
  program_.signatures.push_back(std::move(signature));
  mark_state(program_);
  abandon();
  return updates;
}

}  // namespace ferrule
