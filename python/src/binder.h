// Python arguments -> the Args of one op, against its signature.
#pragma once

#include <string>
#include <vector>

#include "binding.h"
#include "random_py.h"

namespace ferrule::python {

// What the binding knows of an op beyond OpInfo.
// What the op is often called with by mistake, though it can be computed.
struct Mistake {
  std::string_view op, input;  // names of this op and of the one before it
  const char* advice;
  bool negative_loss = false;  // tells that the input is wrong, too
};
const Mistake* mistake_of(const OpDef& op);
// Warns if `input` is the result of that other op. Did it?
bool warn_of(const Mistake& mistake, const Tensor& input);
// Warns if the result is what a right input cannot give.
void warn_of_loss(const Mistake& mistake, const Tensor& loss);

struct OpEntry {
  const OpDef* op = nullptr;
  const OpInfo* info = nullptr;
  bool in_place = false;
  // Parameter that may be given as several ints, f(2, 3) for f((2, 3)); or -1.
  int varargs = -1;
  // Makes a tensor from nothing: takes the keyword requires_grad, too.
  bool creates = false;
  // As in PyTorch's nn.functional, `inplace` may follow the other arguments.
  bool takes_inplace = false;
  // Results that argument 0 should not be, if there are such (mistakes.cpp).
  const Mistake* mistake = nullptr;
  // The named tuple of its results, if there are several.
  PyTypeObject* results = nullptr;
};

OpEntry make_entry(const OpDef& op, bool in_place = false);
// Does it return a named tuple: has it several results, and do users see it?
bool names_results(const OpDef& op);
// Makes the type of that tuple; null: there is none.
PyTypeObject* return_type_of(const OpDef& op);
// A result's name without the `?` of one that may be missing.
std::string_view result_name(std::string_view out);

// The op's other names, without those in modules.
std::vector<std::string> aliases_of(const OpDef& op);
// Those in modules: its alias "linalg.norm" is the function fe.linalg.norm.
struct ModuleName {
  std::string module, name;
};
std::vector<ModuleName> module_names_of(const OpDef& op);

// "softmax(input: Tensor, dim: int = -1)", as errors and help show it.
std::string signature_text(const OpEntry& entry);
// "($self, dim=-1)": what inspect.signature reads.
std::string text_signature(const OpEntry& entry, bool method);

// Interns the parameters' names of all ops.
void prepare_keywords();

class Binder {
 public:
  explicit Binder(const OpEntry& entry) : entry_(entry) {}
  Binder(const Binder&) = delete;

  // `self`: the first argument of a method, or null.
  void parse(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
             PyObject* kwnames);
  // Runs the op on what was parsed; a new reference.
  PyObject* call();

 private:
  [[noreturn]] void bad_argument(int i, PyObject* got, const char* want) const;
  [[noreturn]] void fail_signature(const std::string& what) const;
  void take_inplace(PyObject* value);
  void parse_keywords(PyObject* const* values, PyObject* kwnames);
  int find_keyword(PyObject* key) const;
  void convert(int i, PyObject* o);
  void convert_ints(int i, PyObject* o);
  void convert_tensors(int i, PyObject* o);
  bool take_run_number(int i, PyObject* o);
  void convert_operand(int i, PyObject* o);
  DType dtype_beside(int i) const;
  void push_ints(int i, PyObject* const* items, Py_ssize_t n);
  Int to_int(int i, PyObject* o);
  bool is_large() const;
  bool is_symbolic() const;
  Results run_released();
  PyObject* finish(Results r);

  static constexpr int kMaxInts = 64;
  // Raw memory: only what is used is written.
  union Arguments {
    Arguments() {}
    Arg v[kMaxArgs];
  };
  union Integers {
    Integers() {}
    Int v[kMaxInts];
  };

  const OpEntry& entry_;
  PyObject* objects_[kMaxArgs];  // borrowed; null: not given
  Arguments args_;
  Integers ints_;
  int nints_ = 0;
  bool ran_python_ = false;  // a conversion called into Python
  bool requires_grad_ = false;
  bool in_place_ = false;           // the argument `inplace`
  Generator* generator_ = nullptr;  // given to an op that draws
  std::vector<std::vector<Tensor>> lists_;
  std::vector<Tensor> made_;  // from NumPy arrays
};

}  // namespace ferrule::python
