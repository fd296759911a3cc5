"""A shop: references to users, to its own tables, to itself, and one whose table another column names."""

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Category(models.Model):
    slug = models.SlugField(unique=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True)


class Product(models.Model):
    sku = models.CharField(max_length=40, unique=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT)
    categories = models.ManyToManyField(Category)


class Order(models.Model):
    number = models.CharField(max_length=40, unique=True)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT)
    placed = models.DateTimeField()
    total = models.DecimalField(max_digits=10, decimal_places=2)


class Note(models.Model):
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveIntegerField()
    text = models.TextField()
