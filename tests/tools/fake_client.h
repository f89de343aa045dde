// A client that keeps what it was asked, for tests of what the commands do around the library.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "engine/client/client.h"
#include "tools/text.h"

namespace sluice::tools {

class FakeClient : public client::Client {
 public:
  struct Append {
    std::uint64_t tag = 0;
    client::AppendOptions options;
    std::string data;
  };
  struct Read {
    std::uint64_t tag = 0;
    client::ReadOptions options;
  };
  std::deque<Append> appends;
  std::deque<Read> reads;

  void append(std::uint64_t tag, const client::AppendOptions& options,
              std::span<const std::byte> data) override {
    appends.push_back({tag, options, std::string(as_text(data))});
  }
  void read(std::uint64_t tag, const client::ReadOptions& options) override {
    reads.push_back({tag, options});
  }
  void status(std::uint64_t, NodeId, std::uint32_t) override {}
  void status_at(std::uint64_t, std::size_t, std::uint32_t) override {}
  void trim(std::uint64_t, GroupId, Index, std::uint32_t) override {}
  void flush() override {}
  [[nodiscard]] std::size_t pending() const override { return appends.size() + reads.size(); }
  void close() override {}
  [[nodiscard]] bool closed() const override { return true; }
};

inline client::AppendOutcome acknowledged_at(std::uint64_t index) {
  client::AppendOutcome outcome;
  outcome.status = client::Status::kOk;
  outcome.index = Index(index);
  outcome.term = Term(1);
  return outcome;
}

inline client::AppendOutcome refused_with(Errc code) {
  client::AppendOutcome outcome;
  outcome.status = client::Status::kRefused;
  outcome.code = code;
  return outcome;
}

inline client::AppendOutcome unknown_with(Errc code) {
  client::AppendOutcome outcome;
  outcome.status = client::Status::kUnknown;
  outcome.code = code;
  return outcome;
}

}  // namespace sluice::tools
