// FunctionRef: a non-owning reference to something callable, two words wide.
//
//   void each(FunctionRef<void(int)> visit);
//   each([&](int i) { sum += i; });  // no allocation, no type erasure heap
//
// The callable must outlive the reference: take it as a parameter, never keep
// it in a member.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace ferrule {

template <class Signature>
class FunctionRef;

template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef> &&
             std::is_object_v<std::remove_reference_t<F>> &&
             std::is_invocable_r_v<R, F&, Args...>)
  FunctionRef(F&& f) noexcept  // NOLINT: implicit by design
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) -> R {
          using Callable = std::remove_reference_t<F>;
          return (*static_cast<Callable*>(object))(std::forward<Args>(args)...);
        }) {}

  R operator()(Args... args) const {
    return call_(object_, std::forward<Args>(args)...);
  }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

}  // namespace ferrule
