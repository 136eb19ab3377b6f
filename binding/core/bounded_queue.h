// A first-in first-out queue with two bounds, items and bytes. Not synchronised: the owner holds its own lock, so that
// queue and counters change together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace kfd::core {

template <typename Item>
class BoundedQueue {
 public:
  BoundedQueue(int64_t max_items, int64_t max_bytes) : max_items_(max_items), max_bytes_(max_bytes) {}

  // False when a bound would be passed. One item larger than max_bytes never fits.
  bool try_push(Item item, int64_t bytes) {
    if (items() >= max_items_ || bytes > max_bytes_ - bytes_) {
      return false;
    }
    entries_.push_back({std::move(item), bytes});
    bytes_ += bytes;
    return true;
  }

  std::optional<Item> pop() {
    if (entries_.empty()) {
      return std::nullopt;
    }
    return take(0);
  }

  // Takes up to `limit` items for which `wanted` is true, oldest first; the others keep their order.
  template <typename Predicate>
  std::vector<Item> take_if(Predicate wanted, int64_t limit) {
    std::vector<Item> taken;
    for (size_t i = 0; i < entries_.size() && static_cast<int64_t>(taken.size()) < limit;) {
      if (wanted(entries_[i].item)) {
        taken.push_back(take(i));
      } else {
        ++i;
      }
    }
    return taken;
  }

  template <typename Predicate>
  int64_t count_if(Predicate wanted) const {
    int64_t count = 0;
    for (const Entry& entry : entries_) {
      count += wanted(entry.item) ? 1 : 0;
    }
    return count;
  }

  bool empty() const { return entries_.empty(); }
  int64_t items() const { return static_cast<int64_t>(entries_.size()); }
  int64_t bytes() const { return bytes_; }

 private:
  struct Entry {
    Item item;
    int64_t bytes;
  };

  Item take(size_t index) {
    auto position = entries_.begin() + static_cast<std::ptrdiff_t>(index);
    Item item = std::move(position->item);
    bytes_ -= position->bytes;
    entries_.erase(position);
    return item;
  }

  std::deque<Entry> entries_;
  int64_t max_items_;
  int64_t max_bytes_;
  int64_t bytes_ = 0;
};

}  // namespace kfd::core
