// Tensor.grad_fn: nodes of the recorded graph, to look at.
#include "binding.h"
#include "runtime/autograd/node.h"

namespace ferrule::python {
namespace {

// Keeps the node alive, with all that it leads to.
class PyNode {
 public:
  explicit PyNode(TapeNode* n) : node_(n) { n->retain_history(); }
  PyNode(const PyNode& o) : PyNode(o.node_) {}
  PyNode& operator=(const PyNode&) = delete;
  ~PyNode() { node_->release_history(); }
  TapeNode* get() const { return node_; }

 private:
  TapeNode* node_;
};

// "cross_entropy" -> "CrossEntropyBackward", as PyTorch names them.
std::string node_name(const TapeNode& n) {
  if (dynamic_cast<const AccumulateGrad*>(&n)) return n.name();
  std::string out;
  bool upper = true;
  for (const char* p = n.name(); *p; ++p) {
    if (*p == '_') {
      upper = true;
      continue;
    }
    out += upper && *p >= 'a' && *p <= 'z' ? static_cast<char>(*p - 32) : *p;
    upper = false;
  }
  return out + "Backward";
}

nb::tuple next_functions(const PyNode& n) {
  nb::list all;
  for (uint32_t i = 0; i < n.get()->nedges; ++i) {
    const Edge& e = n.get()->edges[i];
    nb::object next = nb::none();
    if (e.node) next = nb::cast(PyNode(e.node));
    all.append(nb::make_tuple(next, e.nr));
  }
  return nb::tuple(all);
}

}  // namespace

nb::object grad_fn_of(const TensorImpl* t) {
  if (!t->history) return nb::none();
  return nb::cast(PyNode(static_cast<TapeNode*>(t->history)));
}

void bind_nodes(nb::module_& m) {
  auto c = nb::class_<PyNode>(
      m, "Node",
      "A recorded operation: what `Tensor.grad_fn` gives.\n\n"
      "Example:\n"
      "    >>> import ferrule as fe\n"
      "    >>> x = fe.ones(2, requires_grad=True)\n"
      "    >>> y = x.exp().sum()\n"
      "    >>> y.grad_fn\n"
      "    <SumBackward>\n"
      "    >>> y.grad_fn.next_functions[0][0].name()\n"
      "    'ExpBackward'\n");
  c.def(
       "name",
       [](const PyNode& n) { return nb::str(node_name(*n.get()).c_str()); },
       "Name of the operation, such as 'AddBackward'.")
      .def_prop_ro("next_functions", next_functions,
                   "Where the gradients of the inputs go: pairs of a node, or "
                   "None, and the\nnumber of its output.")
      .def("__repr__",
           [](const PyNode& n) {
             return nb::str(concat("<", node_name(*n.get()), ">").c_str());
           })
      .def("__hash__",
           [](const PyNode& n) {
             return static_cast<int64_t>(reinterpret_cast<uintptr_t>(n.get()) >>
                                         4);
           })
      .def("__eq__", [](const PyNode& n, nb::object o) {
        return nb::isinstance<PyNode>(o) &&
               nb::cast<const PyNode&>(o).get() == n.get();
      });
  m.def("running_function", []() -> nb::object {
    auto* node = static_cast<TapeNode*>(running_function());
    return node ? nb::cast(PyNode(node)) : nb::none();
  });
  m.def("with_history", [](nb::handle t, const PyNode& node, uint32_t nr) {
    if (!is_tensor(t.ptr()) || nr >= node.get()->nouts) {
      type_error("[with_history] expected a tensor and an output's number");
    }
    return nb::steal(wrap(with_history(tensor_of(t.ptr()), node.get(), nr)));
  });
  c.attr("__module__") = "ferrule.autograd.graph";
}

}  // namespace ferrule::python
