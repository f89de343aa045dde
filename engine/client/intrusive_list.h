// A doubly linked list whose links lie in its members: nothing is allocated, and a member leaves it
// in O(1). A member is in at most one list per link.
#pragma once

#include <cstddef>

#include "wire/check.h"

namespace sluice::client {

template <class T>
struct Link {
  T* previous = nullptr;
  T* next = nullptr;
  const void* list = nullptr;  // nullptr: in none
};

template <class T, Link<T> T::*kLink>
class IntrusiveList {
 public:
  IntrusiveList() = default;
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] T* front() const { return first_; }
  [[nodiscard]] T* back() const { return last_; }
  [[nodiscard]] static T* after(const T& member) { return (member.*kLink).next; }
  [[nodiscard]] bool contains(const T& member) const { return (member.*kLink).list == this; }

  void push_back(T& member) { insert_before(nullptr, member); }

  /// Inserts in front of `place`; nullptr is the end.
  void insert_before(T* place, T& member) {
    Link<T>& link = member.*kLink;
    SLUICE_CHECK(link.list == nullptr);
    link.list = this;
    link.next = place;
    link.previous = place ? (place->*kLink).previous : last_;
    (link.previous ? (link.previous->*kLink).next : first_) = &member;
    (place ? (place->*kLink).previous : last_) = &member;
    ++size_;
  }

  void remove(T& member) {
    Link<T>& link = member.*kLink;
    SLUICE_CHECK(link.list == this);
    (link.previous ? (link.previous->*kLink).next : first_) = link.next;
    (link.next ? (link.next->*kLink).previous : last_) = link.previous;
    link = {};
    --size_;
  }

  T* pop_front() {
    T* const member = first_;
    if (member) remove(*member);
    return member;
  }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace sluice::client
