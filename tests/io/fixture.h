// What the tests of engine/io share: an operation that remembers its end, and a fixture with an Io
// and a directory of its own.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/uring_io.h"

namespace sluice::io {

/// An operation in flight and how it ended.
struct Op {
  std::int32_t result = 0;
  int fired = 0;
  Completion completion = Completion::bind<&Op::on_done>(this);

  void on_done(std::int32_t value) {
    result = value;
    ++fired;
  }
};

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline iovec slice_of(std::string_view text) {
  return {const_cast<char*>(text.data()), text.size()};
}

class IoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // The working directory of ctest is on the disk that is built on; /tmp may be in memory, where
    // O_DIRECT is not to be had on every kernel.
    char name[] = "./io_test_XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    io_ = make({});
  }

  void TearDown() override {
    io_.reset();
    std::filesystem::remove_all(directory_);
  }

  static std::unique_ptr<Io> make(const UringOptions& options) {
    int error = 0;
    auto made = make_uring_io(options, error);
    EXPECT_TRUE(made.has_value()) << std::strerror(error);
    return made ? std::move(*made) : nullptr;
  }

  [[nodiscard]] std::string path(const char* name) const { return directory_ + "/" + name; }

  std::int32_t await(Op& op) {
    while (op.completion.pending()) io_->run_once();
    return op.result;
  }

  std::int32_t open_result(const std::string& name, OpenFlags flags) {
    Op op;
    io_->open(op.completion, name.c_str(), flags);
    return await(op);
  }

  Handle open(const std::string& name, OpenFlags flags = {.create = true}) {
    const std::int32_t result = open_result(name, flags);
    EXPECT_GE(result, 0) << std::strerror(-result);
    return Handle{result};
  }

  std::int32_t write(Handle file, std::span<const std::byte> bytes, std::uint64_t offset,
                     bool durable = false) {
    Op op;
    io_->write(op.completion, file, bytes, offset, durable);
    return await(op);
  }

  std::int32_t read(Handle file, std::span<std::byte> buffer, std::uint64_t offset) {
    Op op;
    io_->read(op.completion, file, buffer, offset);
    return await(op);
  }

  std::string directory_;
  std::unique_ptr<Io> io_;
};

/// Two connected ends and their listener, all on loopback.
class SocketTest : public IoTest {
 protected:
  void SetUp() override {
    IoTest::SetUp();
    auto any = io_->resolve("127.0.0.1:0");
    ASSERT_TRUE(any.has_value());
    int error = 0;
    auto listening = io_->listen(*any, error);
    ASSERT_TRUE(listening.has_value()) << std::strerror(error);
    listener_ = *listening;
    endpoint_ = *io_->resolve("127.0.0.1:" + std::to_string(io_->local_port(listener_)));
    Op accepted;
    Op connected;
    io_->accept(accepted.completion, listener_);
    io_->connect(connected.completion, endpoint_);
    server_ = Handle{await(accepted)};
    client_ = Handle{await(connected)};
    ASSERT_GE(static_cast<int>(server_), 0);
    ASSERT_GE(static_cast<int>(client_), 0);
  }

  void TearDown() override {
    for (const Handle handle : {client_, server_, listener_}) {
      if (handle != Handle::kNone) io_->close(handle);
    }
    IoTest::TearDown();
  }

  void close(Handle& handle) {
    io_->close(handle);
    handle = Handle::kNone;
  }

  std::int32_t send(Handle socket, std::span<const iovec> slices) {
    Op op;
    io_->send(op.completion, socket, slices);
    return await(op);
  }

  std::int32_t recv(Handle socket, std::span<std::byte> buffer) {
    Op op;
    io_->recv(op.completion, socket, buffer);
    return await(op);
  }

  Endpoint endpoint_;
  Handle listener_ = Handle::kNone;
  Handle server_ = Handle::kNone;
  Handle client_ = Handle::kNone;
};

}  // namespace sluice::io
