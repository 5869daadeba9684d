/* A plugin of QEMU's user-mode emulation that counts the guest's instructions and says how many there were at the end.
 * Debian packages no qemu-plugin.h, so the few functions of that interface that are used are declared here.
 *
 *     gcc -shared -fPIC -o count.so count_instructions.c
 *     qemu-aarch64 -plugin ./count.so -d plugin -D log PROGRAM
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
typedef void (*translated)(plugin_id, struct qemu_plugin_tb *);
typedef void (*executed)(unsigned int, void *);
typedef void (*ended)(plugin_id, void *);

extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, translated callback);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, executed callback, int flags, void *data);
extern void qemu_plugin_register_atexit_cb(plugin_id id, ended callback, void *data);
extern void qemu_plugin_outs(const char *text);

EXPORT int qemu_plugin_version = 1;

static uint64_t count;

static void on_run(unsigned int cpu, void *instructions)
{
    (void)cpu;
    __atomic_fetch_add(&count, (uint64_t)(uintptr_t)instructions, __ATOMIC_RELAXED);
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, on_run, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void on_end(plugin_id id, void *data)
{
    char line[64];
    (void)id, (void)data;
    snprintf(line, sizeof line, "instructions %" PRIu64 "\n", __atomic_load_n(&count, __ATOMIC_RELAXED));
    qemu_plugin_outs(line);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *information, int count_of_arguments, char **arguments)
{
    (void)information, (void)count_of_arguments, (void)arguments;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
