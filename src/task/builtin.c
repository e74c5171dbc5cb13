/* The tasks that come with the library. */
#include "task/task.h"

extern const zo_task_class zo_task_mnist, zo_task_fashion_mnist, zo_task_images, zo_task_cifar10,
    zo_task_cifar100, zo_task_csv, zo_task_blobs, zo_task_spirals, zo_task_xor, zo_task_plane;

const zo_class_info *const zo_task_classes[] = {
    &zo_task_fashion_mnist.info,
    &zo_task_mnist.info,
    &zo_task_cifar10.info,
    &zo_task_cifar100.info,
    &zo_task_images.info,
    &zo_task_csv.info,
    &zo_task_blobs.info,
    &zo_task_spirals.info,
    &zo_task_xor.info,
    &zo_task_plane.info,
    NULL,
};
