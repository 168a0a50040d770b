// Regions: graphs inside of a graph that is being captured, for control flow.
#include <algorithm>
#include <atomic>
#include <utility>

#include "ferrule/capture.h"
#include "runtime/autograd/modes.h"

namespace ferrule {
namespace {

// Expressions that a capture may have.
constexpr int32_t kExprRange = 1 << 24;
constexpr int32_t kMaxDepth = 16;

constexpr char kDrawsOnce[] =
    "control flow under utils.checkpoint draws random numbers, which a graph "
    "cannot draw a second time; leave it out of the checkpoint";

}  // namespace

Capture::Capture(Capture& outer, std::string graph_name)
    : program_(outer.program_),
      purpose_(For::region),
      outer_(&outer),
      device_(outer.device_),
      first_expr_(outer.first_expr_ + kExprRange),
      epoch_(next_epoch()),
      begun_at_(outer.begun_at_) {
  if (modes.capture != &outer || outer.purpose_ == For::replay) {
    fail<RuntimeError>("[capture] the capture around the region does not run");
  }
  if (first_expr_ >= kMaxDepth * kExprRange) {
    fail<RuntimeError>("[capture] control flow stands ", kMaxDepth,
                       " deep in control flow; at most ", kMaxDepth - 1);
  }
  graph_.name = std::move(graph_name);
  where = outer.where;
  // What a region drew is gone when it has run.
  if (outer.again_) refuses_random = kDrawsOnce;
  modes.capture = this;
}

// The value in this graph of a symbolic tensor, of which there may be no more
// than the header.
int32_t Capture::value_here(const TensorImpl* t) {
  if (t->graph_epoch == epoch_) return t->graph_value;
  if (purpose_ == For::region) return import_value(outer_->value_here(t));
  fail<RuntimeError>(
      "[capture] a symbolic tensor of another capture is used; it must not "
      "outlive the call of fe.export, fe.cond, ... that made it");
}

int32_t Capture::import_value(int32_t outer) {
  for (const Import& i : imports_) {
    if (i.outer == outer) return i.inner;
  }
  Dims shape;
  const Value& v = outer_->graph_.values[outer];
  for (const DimSpec& d : v.dims) shape.push(d.value);
  Tensor t = Tensor::empty(shape, v.dtype, device_);
  outer_->bind_result(t.impl(), outer);
  return new_import(std::move(t), outer);
}

int32_t Capture::import_tensor(TensorImpl* t) {
  in_outer([&] { outer_->refresh(t); });
  for (const Import& i : imports_) {
    if (i.tensor.impl() == t) return i.inner;
  }
  return new_import(Tensor::share(t), outer_->value_of(t));
}

// An input that the node hands over.
int32_t Capture::new_import(Tensor t, int32_t outer) {
  const int32_t inner = new_value(t.impl(), ValueRole::input);
  graph_.values[inner].dims = outer_->graph_.values[outer].dims;
  imports_.push_back({std::move(t), outer, inner});
  return inner;
}

std::vector<Tensor> Capture::captured(std::span<Capture* const> regions) {
  std::vector<Tensor> found;
  for (const Capture* r : regions) {
    for (const Import& i : r->imports_) {
      const auto same = [&](const Tensor& t) {
        return t.impl() == i.tensor.impl();
      };
      if (std::ranges::none_of(found, same)) found.push_back(i.tensor);
    }
  }
  return found;
}

// The number in this graph of an expression, which may be of a capture around.
int32_t Capture::own_expr(int32_t expr) {
  if (expr >= first_expr_) return expr - first_expr_;
  if (const auto known = imported_exprs_.find(expr);
      known != imported_exprs_.end()) {
    return known->second;
  }
  const int32_t there = outer_->own_expr(expr);
  Expr e = outer_->graph_.exprs[there];
  if (e.kind == Expr::Kind::size) {
    e.a = import_value(e.a);
  } else if (e.kind == Expr::Kind::op) {
    e.a = own_expr(outer_->first_expr_ + e.a);
    e.b = own_expr(outer_->first_expr_ + e.b);
  }
  graph_.exprs.push_back(e);
  const auto own = static_cast<int32_t>(graph_.exprs.size()) - 1;
  imported_exprs_[expr] = own;
  return own;
}

Tensor Capture::region_input(const Tensor& example, bool slice) {
  in_outer([&] { outer_->refresh(example.impl()); });
  Dims shape(example.shape());
  std::vector<DimSpec> dims;
  if (example.device().is_graph()) {
    dims = outer_->graph_.values[outer_->value_of(example.impl())].dims;
  } else {
    for (int64_t d : shape) dims.push_back({d, -1, true});
  }
  if (slice) {
    shape.erase(0);
    dims.erase(dims.begin());
  }
  Tensor t = Tensor::empty(shape, example.dtype(), device_);
  const int32_t value = new_value(t.impl(), ValueRole::input);
  graph_.values[value].dims = std::move(dims);
  bind_result(t.impl(), value);
  graph_.inputs.push_back(value);
  return t;
}

void Capture::close(const std::vector<Tensor>& outputs) {
  for (const Tensor& t : outputs) {
    refresh(t.impl());
    graph_.outputs.push_back(value_of(t.impl()));
  }
  auto& met = outer_->met_inside_;
  met.insert(met.end(), met_inside_.begin(), met_inside_.end());
  for (const Met& m : met_) met.push_back(m.tensor);
  abandon();
}

// The inputs that the node hands over for `captured`, from position `at`, also
// those that this region does not use.
void Capture::order_inputs(const std::vector<Tensor>& captured, size_t at) {
  std::vector<int32_t> values;
  for (const Tensor& t : captured) values.push_back(import_tensor(t.impl()));
  graph_.inputs.insert(graph_.inputs.begin() + static_cast<std::ptrdiff_t>(at),
                       values.begin(), values.end());
}

std::vector<Tensor> Capture::control(const Control& c) {
  const std::vector<Tensor> captured = Capture::captured(c.regions);
  if (c.predicate) refresh(c.predicate.impl());
  for (const Tensor& t : c.carry) refresh(t.impl());
  for (const Tensor& t : c.xs) refresh(t.impl());
  Node node;
  node.op = &c.op;
  node.where = place();
  for (Capture* r : c.regions) {
    r->order_inputs(captured, c.carry.size());
    node.regions.push_back(static_cast<int32_t>(program_.graphs.size()));
    program_.graphs.push_back(r->graph_);
  }
  const bool chooses = static_cast<bool>(c.predicate);
  std::vector<Tensor> operands = c.carry;
  if (chooses) {
    node.args.push_back(node_arg(c.predicate));
    operands.insert(operands.end(), captured.begin(), captured.end());
  }
  node.args.push_back(node_arg(operands));
  if (!chooses) node.args.push_back(node_arg(captured));
  const Schema& schema = info_of(c.op).schema;
  const bool scans = schema.find("xs") >= 0;
  if (scans) {
    node.args.push_back(node_arg(c.xs));
    node.args.push_back(node_arg(c.length));
    node.args.push_back(node_arg(c.reverse));
  }
  const Graph& step = c.regions.back()->graph_;
  std::vector<Tensor> results;
  for (size_t i = 0; i < step.outputs.size(); ++i) {
    const Value& v = step.values[step.outputs[i]];
    Dims shape;
    for (const DimSpec& d : v.dims) shape.push(d.value);
    const bool stacked = scans && i >= c.carry.size();
    if (stacked) shape.insert(0, c.length.value);
    Tensor t = Tensor::empty(shape, v.dtype, device_);
    const int32_t value = new_value(t.impl(), ValueRole::temp);
    node.outputs.push_back(value);
    bind_result(t.impl(), value);
    results.push_back(std::move(t));
  }
  graph_.nodes.push_back(std::move(node));
  return results;
}

}  // namespace ferrule
